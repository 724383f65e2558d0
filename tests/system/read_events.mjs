// What does a client of npm see? node read_events.mjs CLIENT URL TRACE prints every event as JSON, up to `end` or `error`.
// TRACE goes into the X-Trace-Id header; "-" sends none.
import { EventSource } from 'eventsource'
import { createParser } from 'eventsource-parser'

const [client, url, trace] = process.argv.slice(2)
const headers = trace === '-' ? {} : { 'X-Trace-Id': trace }
const LAST = ['end', 'error']

function readWithEventSource() {
  return new Promise((resolve) => {
    const seen = []
    const source = new EventSource(url, {
      fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, ...headers } }),
    })
    const take = (event) => {
      if (event.data === undefined) return // the connection's own trouble, not an event of the stream
      seen.push({ type: event.type, data: event.data, id: event.lastEventId })
      if (LAST.includes(event.type)) {
        source.close()
        resolve(seen)
      }
    }
    for (const type of ['message', 'token', 'last', ...LAST]) source.addEventListener(type, take)
  })
}

async function readWithParser() {
  const seen = []
  const parser = createParser({
    onEvent: (event) => seen.push({ type: event.event ?? 'message', data: event.data, id: event.id ?? '' }),
    onComment: (comment) => seen.push({ comment }),
    onRetry: (retry) => seen.push({ retry }),
    onError: (error) => { if (error.type !== 'unknown-field') throw error },
  })
  const reply = await fetch(url, { headers })
  const decoder = new TextDecoder()
  try {
    for await (const chunk of reply.body) parser.feed(decoder.decode(chunk, { stream: true }))
  } catch (error) {
    seen.push({ broken: true })
  }
  return seen
}

console.log(JSON.stringify(await (client === 'eventsource' ? readWithEventSource() : readWithParser())))
