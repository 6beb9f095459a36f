import { eachSetting } from '../support/settings.ts'
import { bulk } from './nodes/bulk.ts'
import { creating } from './nodes/creating.ts'
import { iterating } from './nodes/iterating.ts'
import { listing } from './nodes/listing.ts'
import { reading } from './nodes/reading.ts'
import { deleting, recordingRoutes } from './nodes/routes-and-deleting.ts'
import { saving } from './nodes/saving.ts'
import { updating } from './nodes/updating.ts'

eachSetting('nodes', (setting) => {
  for (const suite of [creating, reading, listing, iterating, updating, saving, recordingRoutes, deleting, bulk])
    suite(setting)
})
