/** Changes as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). */
import { PassThrough } from 'node:stream'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Change } from 'meshstore'
import { Type } from 'typebox'
import type { ChangeFeed } from '../change-feed.ts'
import { HttpProblem } from './problems.ts'
import { problems } from './responses.ts'

/** A slow client is cut off when so many bytes wait, and comes again with its last id. */
const MOST_WAITING = 1_048_576
const MOST_CLIENTS = 1_000
/** How long a client waits before it comes again. */
const RETRY_MS = 2_000

const DESCRIPTION = `Events, each with the id to go on behind it: \`ready\` when nothing is missed from now on, \`change\` with
table, operation, and key or paths as JSON, \`missed\` when some are gone: then everything is to be read anew.`

/** `heartbeatMs`: a comment, so often, tells both sides that the connection is there. */
export const changeRoutes =
  (feed: ChangeFeed, heartbeatMs: number): FastifyPluginAsyncTypebox =>
  async (app) => {
    const streams = new Set<PassThrough>()
    const beat = setInterval(() => {
      for (const stream of streams) send(stream, ':\n\n')
    }, heartbeatMs)
    beat.unref()
    app.addHook('preClose', async () => {
      clearInterval(beat)
      feed.close()
    })

    app.get(
      '/changes',
      {
        // A HEAD request would subscribe, and never be answered.
        exposeHeadRoute: false,
        schema: {
          tags: ['operation'],
          summary: 'What is changed, by whichever process, as it happens',
          headers: Type.Object({
            'last-event-id': Type.Optional(Type.String({ description: 'The id of the last event that was heard' })),
          }),
          response: {
            200: {
              description: DESCRIPTION,
              content: { 'text/event-stream': { schema: Type.Unsafe<PassThrough>({ type: 'string' }) } },
            },
            ...problems(),
          },
        },
      },
      async ({ headers }, reply) => {
        if (streams.size >= MOST_CLIENTS) throw new HttpProblem(503, 'Too many listen already. Try again later.')
        const stream = new PassThrough()
        const begun: string[] = []
        const say = (text: string): void => {
          if (streams.has(stream)) send(stream, text)
          else begun.push(text)
        }
        const { token, leave } = await feed.follow(
          {
            hear: ({ token, change }) => say(eventOf('change', token, wordsOf(change))),
            missed: (token) => say(eventOf('missed', token, {})),
            end: () => stream.end(),
          },
          headers['last-event-id'] || undefined,
        )
        streams.add(stream)
        stream.once('close', () => {
          streams.delete(stream)
          leave()
        })
        send(stream, `retry: ${RETRY_MS}\n${eventOf('ready', token, {})}${begun.join('')}`)
        return reply.type('text/event-stream').header('cache-control', 'no-store').send(stream)
      },
    )
  }

function send(stream: PassThrough, text: string): void {
  if (stream.writableEnded) return
  if (stream.readableLength + stream.writableLength > MOST_WAITING) stream.destroy()
  else stream.write(text)
}

const eventOf = (event: string, id: string, data: object): string =>
  `event: ${event}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`

const wordsOf = ({ table, operation, key, paths }: Change) => ({ table, operation, key, paths })
