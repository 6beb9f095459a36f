/** An application with a schedule: opens its store, writes a node, and ends by itself, or stays until it is told to close. */
import { openStorage } from '../../../src/index.ts'
import { messages, say } from '../../sqlite/support/messages.ts'

const [path = '', folder = '', what = 'open', name = 'n'] = process.argv.slice(2)
process.on('unhandledRejection', (error) => say(`unhandled ${error}`))
const store = await openStorage({ url: path, backups: { folder, everySeconds: 1, keep: { last: 20 } } })
await store.nodes.save({ nodeId: name, interfaces: [], protocols: [] })
say('open')
if (what === 'stay') {
  for await (const _ of messages()) break
  // An open pipe would keep the process alive.
  process.stdin.destroy()
  await store.close()
  say('closed')
}
