/** In this repository `meshstore` is the source beside it; in an application of your own it is the package from npm. */
import { registerHooks } from 'node:module'

const SOURCE = new URL('../../src/index.ts', import.meta.url).href

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === 'meshstore' ? { url: SOURCE, shortCircuit: true } : next(specifier, context),
})
