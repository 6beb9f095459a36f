/** Makes a database and a backup under the umask given, and says which modes their files have while they are in use. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { openStorage, restoreBackup } from '../../../src/index.ts'
import { say } from '../support/messages.ts'

const [umask = '', folder = ''] = process.argv.slice(2)
process.umask(Number.parseInt(umask, 8))

const store = await openStorage(join(folder, 'data', 'mesh.db'))
await store.nodes.create({ nodeId: 'a', interfaces: [], protocols: [] })
await store.backup(join(folder, 'backups', 'mesh.backup'))
await restoreBackup(join(folder, 'backups', 'mesh.backup'), join(folder, 'restored', 'mesh.db'))

const modes: Record<string, string> = {}
for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
  modes[name] = (statSync(join(folder, name)).mode & 0o777).toString(8)
}
say(modes)
await store.close()
