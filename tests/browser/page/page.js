// What a page does with a broker by MQTT.js. Its address says what: scenario=NAME&url=ws://...&prefix=TOPIC. Every step
// becomes a line of the page; `finished` resolves to all of them, {what, fault}, or to {fault} for what could not go on.
'use strict'

const asked = new URLSearchParams(location.search)
const prefix = asked.get('prefix')
const VERSIONS = { '3.1.1': 4, '5.0': 5 }
const SESSION = { clean: false, properties: { sessionExpiryInterval: 3600 } }
const steps = []

function show (what, fault) {
  steps.push({ what, fault })
  const line = document.createElement('li')
  line.className = fault ? 'failed' : 'ok'
  line.textContent = fault ? `${what}: ${fault}` : what
  document.querySelector('ol').append(line)
}

async function step (what, run) {
  let fault = ''
  try {
    await run()
  } catch (error) {
    fault = `${error.message || error}`
  }
  show(what, fault)
}

function equal (expected, got, what) {
  if (expected !== got) throw new Error(`${what}: ${got} instead of ${expected}`)
}

function sameBytes (expected, got) {
  equal(expected.length, got.length, 'bytes')
  const at = expected.findIndex((byte, i) => byte !== got[i])
  if (at !== -1) throw new Error(`byte ${at} is ${got[at]} instead of ${expected[at]}`)
}

// A connected client that keeps its messages until somebody takes them.
async function connect (name, version, options = {}) {
  const client = mqtt.connect(asked.get('url'), {
    clientId: `${prefix}/${version}/${name}`, protocolVersion: VERSIONS[version], reconnectPeriod: 0, ...options
  })
  const inbox = []
  let wake = () => {}
  client.on('message', (topic, payload, packet) => {
    inbox.push({ topic, payload, packet })
    wake()
  })
  client.next = async () => {
    while (inbox.length === 0) await new Promise((resolve) => { wake = resolve })
    return inbox.shift()
  }
  client.connack = await new Promise((resolve, reject) => {
    client.once('connect', resolve)
    client.once('error', reject)
    client.once('close', () => reject(new Error('closed before CONNACK')))
  })
  return client
}

function bytes (count, of) {
  return Uint8Array.from({ length: count }, (_, i) => of(i))
}

const PAYLOADS = {
  text: 'plain text',
  'text of the world': 'Grüße, 世界 \u{1F30D}',
  'an empty text': '',
  'no bytes': bytes(0),
  'every byte': bytes(256, (i) => i),
  '100 KB': bytes(100000, (i) => (i * 31 + (i >> 8)) & 255)
}

async function roundTrips () {
  for (const version of Object.keys(VERSIONS)) {
    let sender, receiver
    const topic = `${prefix}/${version}`
    await step(`${version} connects twice`, async () => {
      sender = await connect('sender', version)
      receiver = await connect('receiver', version)
      equal(false, receiver.connack.sessionPresent, 'Session Present')
    })
    await step(`${version} subscribes`, async () => {
      for (const [last, qos] of [['0', 0], ['1', 1], ['2', 2], ['end', 2]]) {
        const granted = await receiver.subscribeAsync(`${topic}/${last}`, { qos })
        equal(qos, granted[0].qos, 'the QoS granted')
      }
    })
    for (const qos of [0, 1, 2]) {
      for (const [name, payload] of Object.entries(PAYLOADS)) {
        await step(`${version} QoS ${qos}, ${name}`, async () => {
          await sender.publishAsync(`${topic}/${qos}`, payload, { qos })
          const got = await receiver.next()
          equal(`${topic}/${qos}`, got.topic, 'topic')
          equal(qos, got.packet.qos, 'QoS')
          equal(false, got.packet.retain, 'RETAIN')
          sameBytes(typeof payload === 'string' ? new TextEncoder().encode(payload) : payload, got.payload)
          if (typeof payload === 'string') equal(payload, got.payload.toString(), 'text')
        })
      }
    }
    await step(`${version} unsubscribes`, async () => {
      await receiver.unsubscribeAsync([`${topic}/0`, `${topic}/1`, `${topic}/2`])
      for (const qos of [0, 1, 2]) await sender.publishAsync(`${topic}/${qos}`, 'to nobody', { qos })
      await sender.publishAsync(`${topic}/end`, 'nothing came between', { qos: 2 })
      equal('nothing came between', (await receiver.next()).payload.toString(), 'message')
    })
    await step(`${version} disconnects`, async () => {
      await receiver.endAsync()
      equal(false, receiver.connected, 'connected')
    })
    await keptSession(version, sender, topic)
    await sender.endAsync()
  }
}

async function keptSession (version, sender, topic) {
  const queued = [1, 2, 1, 2].map((qos, i) => ({ qos, payload: bytes(1000, (at) => (at * 7 + i) & 255) }))
  let keeper
  await step(`${version} leaves a session behind`, async () => {
    keeper = await connect('keeper', version, SESSION)
    equal(false, keeper.connack.sessionPresent, 'Session Present')
    await keeper.subscribeAsync(`${topic}/queued`, { qos: 2 })
    await keeper.endAsync()
    for (const { qos, payload } of queued) await sender.publishAsync(`${topic}/queued`, payload, { qos })
  })
  await step(`${version} comes back to it`, async () => {
    keeper = await connect('keeper', version, SESSION)
    equal(true, keeper.connack.sessionPresent, 'Session Present')
  })
  await step(`${version} gets what was queued`, async () => {
    const got = []
    while (got.length !== queued.length) got.push(await keeper.next())
    // A message of QoS 2 may wait for its PUBREL: there is an order among those of one QoS only.
    for (const qos of [1, 2]) {
      const expected = queued.filter((message) => message.qos === qos)
      const came = got.filter((message) => message.packet.qos === qos)
      equal(expected.length, came.length, `messages of QoS ${qos}`)
      expected.forEach((message, i) => sameBytes(message.payload, came[i].payload))
    }
    await keeper.endAsync()
  })
  await step(`${version} begins anew`, async () => {
    keeper = await connect('keeper', version)
    equal(false, keeper.connack.sessionPresent, 'Session Present')
    await keeper.endAsync()
  })
}

// Sends back what comes, `count` messages of it, in a session that outlives the page; without a count it only subscribes.
async function echo () {
  const version = asked.get('version')
  const count = Number(asked.get('count'))
  let client
  await step(`${version} connects`, async () => {
    client = await connect('echo', version, SESSION)
    equal(count > 0, client.connack.sessionPresent, 'Session Present')
    if (count === 0) await client.subscribeAsync(`${prefix}/in`, { qos: 2 })
  })
  for (let i = 0; i !== count; ++i) {
    await step(`${version} sends back message ${i}`, async () => {
      const got = await client.next()
      await client.publishAsync(`${prefix}/out`, got.payload, { qos: got.packet.qos })
    })
  }
}

async function knock () {
  await step('connects', async () => {
    const client = await connect('guest', '5.0')
    await client.endAsync()
  })
}

const scenarios = { roundTrips, echo, knock }

const finished = (async () => {
  document.querySelector('h1').textContent = `${asked.get('scenario')}: ${location.origin} to ${asked.get('url')}`
  await scenarios[asked.get('scenario')]()
  return steps
})()
