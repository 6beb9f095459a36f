import { eachSetting } from '../support/settings.ts'
import { computing } from './path-cache/computing.ts'
import { computingBesideOthers } from './path-cache/computing-beside-others.ts'
import { entries } from './path-cache/entries.ts'
import { expiry } from './path-cache/expiry.ts'
import { invalidating } from './path-cache/invalidating.ts'
import { pathStore } from './path-cache/path-store.ts'
import { resolving } from './path-cache/resolving.ts'
import { selecting } from './path-cache/selecting.ts'
import { sweeping } from './path-cache/sweeping.ts'

eachSetting('path cache', (setting) => {
  for (const suite of [
    entries,
    expiry,
    pathStore,
    selecting,
    invalidating,
    sweeping,
    computing,
    computingBesideOthers,
    resolving,
  ])
    suite(setting)
})
