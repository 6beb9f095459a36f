import { eachSetting } from '../support/settings.ts'
import { computing } from './path-cache/computing.ts'
import { computingBesideOthers } from './path-cache/computing-beside-others.ts'
import { entries } from './path-cache/entries.ts'
import { expiry } from './path-cache/expiry.ts'
import { resolving } from './path-cache/resolving.ts'
import { selecting } from './path-cache/selecting.ts'

eachSetting('path cache', (setting) => {
  for (const suite of [entries, expiry, selecting, computing, computingBesideOthers, resolving]) suite(setting)
})
