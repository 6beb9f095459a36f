import { eachBackend, eachSetting } from '../support/settings.ts'
import { committing } from './transactions/committing.ts'
import { isolation } from './transactions/isolation.ts'
import { limits } from './transactions/limits.ts'
import { misuse } from './transactions/misuse.ts'
import { savepoints } from './transactions/savepoints.ts'
import { snapshots } from './transactions/snapshots.ts'

eachSetting('a unit of work', committing)

eachBackend('transactions', (backend) => {
  for (const suite of [savepoints, isolation, limits, snapshots, misuse]) suite(backend)
})
