/** `mesh-api.mjs --url URL --port 0`: examples/mesh-api on the built library. */
import { registerHooks } from 'node:module'

const BUILT = new URL('../../dist/', import.meta.url).href
const NAME = /^meshstore(?:\/(?<entry>.+))?$/

registerHooks({
  resolve: (specifier, context, next) => {
    const found = NAME.exec(specifier)
    if (found === null) return next(specifier, context)
    return { url: `${BUILT}${(found.groups.entry ?? 'index').replaceAll('/', '-')}.js`, shortCircuit: true }
  },
})
await import('../../examples/mesh-api/src/main.ts')
