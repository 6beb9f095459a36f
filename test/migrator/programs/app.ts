/** An application that is bundled into one file: opens the database that it is told, writes, reads, and says what it saw. */
import { openStorage } from '../../../src/index.ts'

const [url = ''] = process.argv.slice(2)

async function main(): Promise<void> {
  const first = await openStorage(url)
  await first.nodes.create({ nodeId: 'gw-1', interfaces: ['eth0'], protocols: ['cjdns'] })
  await first.policies.create({ policyId: 'edge', yamlContent: 'rules: []\n' })
  await first.close()
  // Nothing is pending any more.
  await using store = await openStorage({ url, migrate: 'check' })
  const [node, policy] = [await store.nodes.get('gw-1'), await store.policies.get('edge')]
  console.log(JSON.stringify({ node: node?.interfaces, policy: policy?.yamlContent }))
}

void main()
