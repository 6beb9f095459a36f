import { eachBackend } from '../support/settings.ts'
import { closing } from './lifecycle/closing.ts'
import { opening, openingFiles } from './lifecycle/opening.ts'

eachBackend('a store', (backend) => {
  for (const suite of [opening, openingFiles, closing]) suite(backend)
})
