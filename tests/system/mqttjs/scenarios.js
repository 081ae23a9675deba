// MQTT.js against a broker: runs every scenario and prints "ok NAME" or "failed NAME: why" for each.
//   node scenarios.js PORT PREFIX [PROTOCOL]    mqtt, or ws
'use strict'

const assert = require('node:assert')
const mqtt = require('mqtt')

const [port, prefix, protocol = 'mqtt'] = process.argv.slice(2)
const PATIENCE = 40000
const VERSIONS = [3, 4, 5]
const clients = []

function withEnd (promise, what) {
  let timer
  const end = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error('waited in vain for ' + what)), PATIENCE)
  })
  return Promise.race([promise, end]).finally(() => clearTimeout(timer))
}

// A connected client that keeps its messages in `inbox`.
async function connect (name, version, options = {}) {
  const client = mqtt.connect({
    protocol,
    path: '/mqtt',
    host: '127.0.0.1',
    port: Number(port),
    clientId: `${prefix}/${name}`,
    protocolVersion: version,
    protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
    reconnectPeriod: 0,
    ...options
  })
  clients.push(client)
  client.inbox = []
  client.on('message', (topic, payload, packet) => {
    client.inbox.push({ topic, text: payload.toString(), packet })
    client.emit('inbox')
  })
  client.connack = await withEnd(
    new Promise((resolve, reject) => {
      client.once('connect', resolve)
      client.once('error', reject)
    }),
    'CONNACK'
  )
  return client
}

async function messages (client, count) {
  const enough = new Promise((resolve) => {
    const look = () => {
      if (client.inbox.length < count) return
      client.off('inbox', look)
      resolve()
    }
    client.on('inbox', look)
    look()
  })
  await withEnd(enough, `${count} messages; ${client.inbox.length} came`)
  return client.inbox.splice(0, count)
}

async function texts (client, count) {
  return (await messages(client, count)).map((message) => message.text)
}

const numbers = (count) => [...Array(count).keys()].map(String)

async function everyQosInOrder () {
  for (const version of VERSIONS) {
    for (const qos of [0, 1, 2]) {
      const topic = `${prefix}/qos/${version}/${qos}`
      const receiver = await connect(`r${version}${qos}`, version)
      const sender = await connect(`s${version}${qos}`, version)
      const granted = await receiver.subscribeAsync(topic, { qos })
      assert.strictEqual(granted[0].qos, qos)
      // 3.x has no Receive Maximum, and MQTT.js none of its own: a hundred at a time.
      for (let from = 0; from !== 500; from += 100) {
        await Promise.all(numbers(100).map((i) => sender.publishAsync(topic, String(from + Number(i)), { qos })))
      }
      assert.deepStrictEqual(await texts(receiver, 500), numbers(500), `version ${version}, QoS ${qos}`)
      await receiver.endAsync()
      await sender.endAsync()
    }
  }
}

async function retained () {
  for (const version of VERSIONS) {
    const topic = `${prefix}/retained/${version}`
    const client = await connect(`c${version}`, version)
    await client.publishAsync(topic, 'kept', { qos: 1, retain: true })
    await client.subscribeAsync(topic, { qos: 2 })
    const [message] = await messages(client, 1)
    assert.deepStrictEqual([message.text, message.packet.retain, message.packet.qos], ['kept', true, 1])
    await client.publishAsync(topic, '', { qos: 1, retain: true })
    const late = await connect(`l${version}`, version)
    await late.subscribeAsync(topic)
    await client.publishAsync(topic, 'live', { qos: 1 })
    assert.deepStrictEqual(await texts(late, 1), ['live'])
  }
}

async function will () {
  for (const version of VERSIONS) {
    const topic = `${prefix}/will/${version}`
    const witness = await connect(`w${version}`, version)
    await witness.subscribeAsync(topic, { qos: 2 })
    const options = { will: { topic, payload: 'gone', qos: 2, retain: false } }
    const polite = await connect(`p${version}`, version, options)
    await polite.endAsync()
    const dying = await connect(`d${version}`, version, options)
    dying.stream.destroy()
    const [message] = await messages(witness, 1)
    assert.deepStrictEqual([message.text, message.packet.qos], ['gone', 2])
    await witness.publishAsync(topic, 'end', { qos: 2 })
    assert.deepStrictEqual(await texts(witness, 1), ['end'], 'one will, not two')
  }
}

async function resumedSession () {
  for (const version of VERSIONS) {
    const topic = `${prefix}/resumed/${version}`
    const kept = { clean: false, properties: version === 5 ? { sessionExpiryInterval: 100 } : undefined }
    const sender = await connect(`s${version}`, version)
    const first = await connect(`r${version}`, version, kept)
    assert.strictEqual(first.connack.sessionPresent, false)
    await first.subscribeAsync(topic, { qos: 2 })
    await first.endAsync()
    for (const i of numbers(20)) await sender.publishAsync(topic, i, { qos: 2 })
    const again = await connect(`r${version}`, version, kept)
    if (version !== 3) assert.strictEqual(again.connack.sessionPresent, true)
    assert.deepStrictEqual(await texts(again, 20), numbers(20))
  }
}

// The client reconnects by itself, as it does in an application, and misses nothing of QoS 1.
async function reconnects () {
  const topic = `${prefix}/reconnects`
  const receiver = await connect('receiver', 5, {
    clean: false, reconnectPeriod: 20, properties: { sessionExpiryInterval: 100 }
  })
  const sender = await connect('sender', 5)
  await receiver.subscribeAsync(topic, { qos: 1 })
  for (const i of numbers(60)) {
    await sender.publishAsync(topic, i, { qos: 1 })
    if (i % 20 === 10) receiver.stream.destroy()
  }
  await sender.publishAsync(topic, 'last', { qos: 1 })
  const got = []
  while (got.at(-1) !== 'last') got.push(...await texts(receiver, 1))
  assert.deepStrictEqual([...new Set(got)], [...numbers(60), 'last'])
}

async function propertiesOfVersion5 () {
  const topic = `${prefix}/properties`
  const receiver = await connect('receiver', 5)
  const sender = await connect('sender', 5)
  await receiver.subscribeAsync(topic, { qos: 1, properties: { subscriptionIdentifier: 77 } })
  const properties = {
    payloadFormatIndicator: true,
    messageExpiryInterval: 100,
    contentType: 'text/plain',
    responseTopic: 'answer/here',
    correlationData: Buffer.from([0, 1, 255]),
    userProperties: { colour: ['red', 'blue'], size: 'XL' }
  }
  await sender.publishAsync(topic, 'm', { qos: 1, properties })
  const [{ packet }] = await messages(receiver, 1)
  assert.ok(packet.properties.messageExpiryInterval >= 60 && packet.properties.messageExpiryInterval <= 100)
  const got = packet.properties
  got.userProperties = { ...got.userProperties }
  got.messageExpiryInterval = 100
  assert.deepStrictEqual(got, { ...properties, subscriptionIdentifier: 77 })
}

// The client gives topics aliases by itself; the broker may do so in the other direction.
async function automaticTopicAliases () {
  const receiver = await connect('receiver', 5, { properties: { topicAliasMaximum: 5 } })
  const sender = await connect('sender', 5, { autoAssignTopicAlias: true })
  assert.ok(sender.connack.properties.topicAliasMaximum > 0)
  // Not at QoS 2: MQTT.js 5.16 forgets the topic of an aliased message until PUBREL releases it.
  await receiver.subscribeAsync(`${prefix}/aliases/#`, { qos: 1 })
  let sent = 0
  const write = sender.stream.write
  sender.stream.write = function (chunk, ...others) {
    sent += chunk.length
    return write.call(this, chunk, ...others)
  }
  const bytes = () => sent
  const topics = numbers(30).map((i) => `${prefix}/aliases/${'long/'.repeat(20)}${i}`)
  const expected = []
  const written = []
  for (let round = 0; round !== 3; ++round) {
    const before = bytes()
    for (const topic of topics.slice(0, round === 2 ? 30 : 5)) {
      await sender.publishAsync(topic, `${round}`, { qos: round })
      expected.push([topic, `${round}`])
    }
    written.push(bytes() - before)
  }
  const got = (await messages(receiver, expected.length)).map((message) => [message.topic, message.text])
  assert.deepStrictEqual(got, expected)
  assert.ok(written[1] < written[0] / 2, `aliases were used: ${written}`)
}

async function takeOver () {
  const first = await connect('c', 5)
  const told = new Promise((resolve) => first.once('disconnect', resolve))
  const second = await connect('c', 5)
  const packet = await withEnd(told, 'DISCONNECT')
  assert.strictEqual(packet.reasonCode, 0x8e)
  await second.subscribeAsync(`${prefix}/takeover`)
  await second.publishAsync(`${prefix}/takeover`, 'm')
  assert.deepStrictEqual(await texts(second, 1), ['m'])
}

async function assignedClientIdentifier () {
  for (const version of [4, 5]) {
    const client = await connect('x', version, { clientId: '', clean: true })
    if (version === 5) assert.ok(client.connack.properties.assignedClientIdentifier.length > 0)
    await client.endAsync()
  }
}

async function bigMessage () {
  const payload = Buffer.alloc(900 * 1024, 'mqloop')
  const client = await connect('c', 5)
  await client.subscribeAsync(`${prefix}/big`, { qos: 2 })
  await client.publishAsync(`${prefix}/big`, payload, { qos: 2 })
  const [message] = await messages(client, 1)
  assert.ok(message.packet.payload.equals(payload))
}

async function main () {
  const scenarios = [everyQosInOrder, retained, will, resumedSession, reconnects, propertiesOfVersion5,
    automaticTopicAliases, takeOver, assignedClientIdentifier, bigMessage]
  for (const scenario of scenarios) {
    try {
      await scenario()
      console.log(`ok ${scenario.name}`)
    } catch (fault) {
      console.log(`failed ${scenario.name}: ${fault.stack.replaceAll('\n', ' | ')}`)
    }
    for (const client of clients.splice(0)) client.end(true)
  }
}

main()
