import { eachAppSetting } from '../tables/app/stages.ts'
import { listing } from './tables/listing.ts'
import { ownStatements } from './tables/statements.ts'
import { statementValues } from './tables/values.ts'
import { writing } from './tables/writing.ts'

eachAppSetting('own tables', (setting) => {
  for (const suite of [writing, listing, ownStatements, statementValues]) suite(setting)
})
