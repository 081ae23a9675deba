// MQTT.js and enhanced authentication, against a broker with the plugin `exchange`, which does as the data say: an
// exchange of several steps, a re-authentication, a refusal and a method that nobody knows. Prints "ok" at the end.
//   node auth.js PORT
'use strict'

const assert = require('node:assert')
const mqtt = require('mqtt')

const PATIENCE = 40000
const port = Number(process.argv[2])

function withEnd (promise, what) {
  let timer
  const end = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error('waited in vain for ' + what)), PATIENCE)
  })
  return Promise.race([promise, end]).finally(() => clearTimeout(timer))
}

function words (data, method = 'TOLD') {
  return { authenticationMethod: method, authenticationData: Buffer.from(data) }
}

// What the client says next is taken from `answers`; what it was told is kept in `client.told`.
function open (name, properties, answers = []) {
  const client = mqtt.connect({
    host: '127.0.0.1', port, clientId: `mqttjs-auth-${name}`, protocolVersion: 5, reconnectPeriod: 0, properties
  })
  client.told = []
  client.handleAuth = (packet, callback) => {
    client.told.push(`${packet.reasonCode} ${packet.properties.authenticationData ?? ''}`)
    if (packet.reasonCode === 0) return callback(null)
    callback(null, { cmd: 'auth', reasonCode: 0x18, properties: words(answers.shift()) })
  }
  return client
}

function outcome (client) {
  return withEnd(new Promise((resolve, reject) => {
    client.once('connect', resolve)
    client.once('error', reject)
  }), 'CONNACK')
}

async function auth (client, properties) {
  const answered = new Promise((resolve) => {
    client.on('packetreceive', (packet) => {
      if (packet.cmd === 'auth' && packet.reasonCode === 0) resolve(packet)
    })
  })
  client._sendPacket({ cmd: 'auth', reasonCode: 0x19, properties })
  return await withEnd(answered, 'AUTH')
}

async function main () {
  const client = open('steps', words('challenge one'), ['late challenge two', 'tell'])
  const connack = await outcome(client)
  assert.deepStrictEqual(client.told, ['24 one', '24 two'])
  assert.strictEqual(connack.properties.authenticationMethod, 'TOLD')
  assert.strictEqual(connack.properties.authenticationData.toString(), 'step 3 user ')

  const answer = await auth(client, words('late tell'))
  assert.strictEqual(answer.properties.authenticationData.toString(), 'step 1 user  again')
  const heard = new Promise((resolve) => client.on('message', (topic, payload) => resolve(payload.toString())))
  await client.subscribeAsync('mqttjs-auth', { qos: 2 })
  await client.publishAsync('mqttjs-auth', 'hello', { qos: 2 })
  assert.strictEqual(await withEnd(heard, 'its own message'), 'hello')

  const gone = new Promise((resolve) => client.once('disconnect', (packet) => resolve(packet.reasonCode)))
  client._sendPacket({ cmd: 'auth', reasonCode: 0x19, properties: words('reject 87') })
  assert.strictEqual(await withEnd(gone, 'DISCONNECT'), 0x87)

  await assert.rejects(outcome(open('refused', words('challenge one'), ['reject 86'])), { code: 0x86 })
  await assert.rejects(outcome(open('unknown', words('accept', 'SCRAM-SHA-1'))), { code: 0x8c })
}

main().then(() => {
  console.log('ok')
  process.exit(0)
}, (error) => {
  console.log(error.stack)
  process.exit(1)
})
