/** Moves a file that others serve from, as `meshstore move --resume` does, and says each step as it comes to it. */
import { openStorage, StorageError } from '../../../../src/index.ts'
import { messages, say } from '../../../sqlite/support/messages.ts'
import { moveBeside } from '../support/beside.ts'

export interface Order {
  readonly path: string
  readonly url: string
}

async function move({ path, url }: Order): Promise<string> {
  let last = ''
  try {
    await moveBeside(path, url, {
      onProgress: ({ step }) => {
        if (step !== last) say(`step ${step}`)
        last = step
      },
    })
  } catch (error) {
    if (!(error instanceof StorageError)) throw error
    if (error.code !== 'MOVED') return `failed ${error.code}`
    // It was killed behind the switch: whoever has both at hand makes up for what it could not say.
    await (await openStorage({ url: path, successor: url })).close()
  }
  return 'done'
}

say('ready')
for await (const order of messages<Order>()) {
  say('begun')
  say(await move(order))
}
process.exit(2)
