/** Backs up, or restores over what is there, once: to be killed in the middle of it. */
import { openStorage, restoreBackup } from '../../../src/index.ts'

const [what, file = '', path = ''] = process.argv.slice(2)
if (what === 'restore') await restoreBackup(file, path, { replace: true })
else {
  await using store = await openStorage(path)
  await store.backup(file)
}
