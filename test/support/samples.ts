import type { NewMeshNode, NewPolicy, PathBundle, PathKey } from '../../src/index.ts'

export const node = (nodeId: string, more: Partial<NewMeshNode> = {}): NewMeshNode => ({
  nodeId,
  interfaces: ['eth0', 'wlan0'],
  protocols: ['batman-adv'],
  ...more,
})

/** `n-0000`, `n-0001` and so on: their order is the one in which they are counted. */
export const manyNodes = (count: number, prefix = 'n'): NewMeshNode[] =>
  Array.from({ length: count }, (_, index) => node(numbered(prefix, index)))

export const numbered = (prefix: string, index: number): string => `${prefix}-${String(index).padStart(4, '0')}`

export const TWO_RULES = `# who may talk to whom
version: 1
rules:
  - { id: allow-gateways, effect: ALLOW, subject: "*", action: "route_use:batman-adv" }
  - { id: deny-guests,    effect: DENY,  subject: guest }
`

export const policy = (policyId: string, yamlContent: string = TWO_RULES): NewPolicy => ({ policyId, yamlContent })

export const pathKey = (source: string, destination: string, k = 3): PathKey => ({ source, destination, k })

export const bundle = (source: string, destination: string, latency = 14): PathBundle => ({
  source,
  destination,
  primary: [{ nodes: [source, 'relay', destination], latency_sum_ms: latency, reliability_product: 0.98 }],
  alternatives: [],
})
