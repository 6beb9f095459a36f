import { eachSetting } from '../support/settings.ts'
import { countingRules } from './policies/counting-rules.ts'
import { realFiles } from './policies/real-files.ts'
import { several } from './policies/several.ts'
import { changing, storing } from './policies/storing.ts'
import { texts } from './policies/texts.ts'

eachSetting('policies', (setting) => {
  for (const suite of [storing, changing, countingRules, texts, realFiles, several]) suite(setting)
})
