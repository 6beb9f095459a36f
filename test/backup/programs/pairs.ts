/** Changes a node and the policy of its name in one transaction, over and over, until it is killed; a line for each. */
import { openStorage } from '../../../src/index.ts'

const [url = '', prefix = ''] = process.argv.slice(2)
const store = await openStorage({ url, pool: { max: 2 } })
for (let n = 0; ; n++) {
  const id = `${prefix}-${n % 50}`
  await store.transaction(async (tx) => {
    await tx.nodes.save({ nodeId: id, interfaces: [`n${n}`], protocols: [] })
    await tx.policies.save({ policyId: id, yamlContent: `n${n}` })
  })
  process.stdout.write(`${id}\n`)
}
