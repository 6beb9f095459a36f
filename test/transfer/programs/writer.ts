/** Writes pairs of a node and a policy until it is killed, each pair in one transaction; says a line for each. */
import { openStorage } from '../../../src/index.ts'

const store = await openStorage(process.argv[2] ?? '')
for (let n = 0; ; n++) {
  const id = `pair-${String(n).padStart(6, '0')}`
  await store.transaction(async (tx) => {
    await tx.nodes.create({ nodeId: id, interfaces: [], protocols: [] })
    await tx.policies.create({ policyId: id, yamlContent: '' })
  })
  process.stdout.write(`${id}\n`)
}
