import { eachBackend } from '../support/settings.ts'
import { closing } from './lifecycle/closing.ts'
import { opening } from './lifecycle/opening.ts'

eachBackend('a store', (backend) => {
  for (const suite of [opening, closing]) suite(backend)
})
