import type { Row } from '../../support/other-program.ts'

/** A row as Python writes it: spaces in the lists, times to the microsecond. */
export const foreignNode = (node_id: string): Row => ({
  node_id,
  interfaces: '["eth0", "wlan0"]',
  protocols: '[ "batman-adv" ]',
  started: 0,
  routes_discovered: 7,
  created_at: 1_700_000_000.123456,
  updated_at: 1_700_000_001.654321,
})
