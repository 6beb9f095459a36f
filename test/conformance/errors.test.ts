import { eachSetting } from '../support/settings.ts'
import { codes } from './errors/codes.ts'
import { corruptRows } from './errors/corrupt-rows.ts'
import { secrecy } from './errors/secrecy.ts'
import { silentTriggers } from './errors/silent-triggers.ts'

eachSetting('errors', (setting) => {
  for (const suite of [codes, secrecy, corruptRows, silentTriggers]) suite(setting)
})
