/** In this repository `meshstore` is the source beside it; in an application of your own it is the package from npm. */
import { registerHooks } from 'node:module'

const SOURCE = new URL('../../src/', import.meta.url).href
const NAME = /^meshstore(?:\/(?<entry>.+))?$/

registerHooks({
  resolve: (specifier, context, next) => {
    const found = NAME.exec(specifier)
    if (found === null) return next(specifier, context)
    const entry = found.groups?.entry
    return {
      url: `${SOURCE}${entry === undefined ? 'index.ts' : `${entry.replaceAll('/', '-')}-entry.ts`}`,
      shortCircuit: true,
    }
  },
})
