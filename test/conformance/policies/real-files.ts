/** Policies that others wrote, in the folder `shared/data` beside the repository, if it is there. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { expectCode } from '../../support/expectations.ts'
import { policy } from '../../support/samples.ts'
import type { Setting } from '../../support/settings.ts'

interface File {
  readonly name: string
  readonly text: string
}

const FOLDER = join(import.meta.dirname, '../../../../shared/data')

/** The number of rules in each, as another parser (PyYAML 6.0) counts them. */
const RULES: Readonly<Record<string, number>> = {
  'network-policy.yaml': 3,
  'network-policy-api__0-anp1.yaml': 1,
  'network-policy-api__1-anp2.yaml': 1,
  'network-policy-api__10-anp.yaml': 7,
  'network-policy-api__11-banp.yaml': 5,
  'network-policy-api__12-allow-all-internal.yaml': 1,
  'network-policy-api__13-allow-all.yaml': 1,
  'network-policy-api__14-portrange1.yaml': 2,
  'network-policy-api__15-allow-all-egress-by-label.yaml': 1,
  'network-policy-api__2-anp3.yaml': 1,
  'network-policy-api__3-banp.yaml': 1,
  'network-policy-api__4-npv1.yaml': 0,
  'network-policy-api__5-anp1.yaml': 1,
  'network-policy-api__6-anp2.yaml': 1,
  'network-policy-api__7-banp.yaml': 1,
  'network-policy-api__8-npv1.yaml': 0,
  'network-policy-api__9-anp-list.yaml': 0,
  'np-guard__anp_banp_explain_demo__policies.yaml': 2,
  'np-guard__anp_test_11_swapping_rules__anp.yaml': 7,
  'np-guard__anp_test_8_swapping_rules__anp.yaml': 7,
  'np-guard__anp_with_banp_new_test__anps.yaml': 3,
  'np-guard__cudn_test_5__network-policy.yaml': 1,
  'np-guard__exposure_allow_egress_deny_ingress_test__netpol.yaml': 1,
  'np-guard__exposure_test_egress_with_named_port__netpol.yaml': 2,
  'np-guard__exposure_test_with_anp_14__policies.yaml': 4,
  'np-guard__exposure_test_with_different_rules_3__netpol.yaml': 2,
  'np-guard__ipblockstest_2__withIpBlock-networkpolicy.yaml': 1,
  'np-guard__nad_test_17__np.yaml': 0,
  'np-guard__np_test_with_empty_port_range__netpol.yaml': 1,
  'np-guard__test_core_egress_tcp_rules__banp_core_egress_tcp_rules.yaml': 5,
  'np-guard__test_with_named_ports_changed_netpol__policies.yaml': 1,
}

/** One of each kind in their style, where the folder is missing. */
const STAND_INS: Readonly<Record<string, readonly File[]>> = {
  policies: [
    {
      name: 'network-policy.yaml',
      text: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: allow-internal }
spec:
  podSelector: {}
  ingress:
    - from: [{ ipBlock: { cidr: 10.0.0.0/8 } }]
  egress:
    - to: [{ namespaceSelector: {} }]
      ports:
        - { protocol: TCP, port: 80, endPort: 8080 }
    - {}
---
kind: NetworkPolicy
spec: { podSelector: {}, policyTypes: [Ingress] }
`,
    },
  ],
  'policies-broken': [
    { name: 'template.yaml', text: 'spec:\n  egress:\n  - name: http\n    port: {{ index .Ports 0 }}\n' },
  ],
}

function filesIn(folder: string): readonly File[] {
  const path = join(FOLDER, folder)
  if (!existsSync(path)) {
    console.warn(`NOT TESTED ON REAL POLICIES: ${folder}/ is missing in shared/data beside the repository.`)
    return STAND_INS[folder] ?? []
  }
  return readdirSync(path).map((name) => ({ name, text: readFileSync(join(path, name), 'utf8') }))
}

const sound = filesIn('policies')
const broken = filesIn('policies-broken')

export function realFiles({ run }: Setting): void {
  test(`${sound.length} policies that others wrote are kept byte for byte, with their rules counted`, () =>
    run(async ({ policies }) => {
      expect(sound.length).toBeGreaterThan(0)
      await policies.createMany(sound.map(({ name, text }) => policy(name, text)))
      for (const { name, text } of sound) {
        expect(await policies.get(name)).toMatchObject({ yamlContent: text, rulesCount: RULES[name] })
      }
    }))

  // Go templates. Read as YAML, `port: {{ index .Ports 0 }}` is a mapping with a mapping as its key.
  test.each(broken)('$name, which is a template and no policy, is refused', ({ name, text }) =>
    run(async ({ policies }) => {
      const error = await expectCode(policies.create(policy(name, text)), 'VALIDATION')
      expect(error.issues.length).toBeGreaterThan(0)
      for (const { path, message } of error.issues) {
        expect(path).toBe('yamlContent')
        expect(message).toMatch(/ at line \d+, column \d+$/)
      }
      expect(await policies.count()).toBe(0)
    }),
  )
}
