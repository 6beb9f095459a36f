import { eachBackend } from '../support/settings.ts'
import { closing } from './lifecycle/closing.ts'
import { fakedTimers } from './lifecycle/faked-timers.ts'
import { opening } from './lifecycle/opening.ts'

eachBackend('a store', (backend) => {
  for (const suite of [opening, closing, fakedTimers]) suite(backend)
})
