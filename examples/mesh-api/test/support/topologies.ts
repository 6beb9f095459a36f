/** The topologies of the tests: the example's own, and maps that others made, where they lie beside the repository. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { readTopologyFile } from '../../src/import/read.ts'
import type { Topology } from '../../src/topology.ts'

export const ABILENE_FILE = join(import.meta.dirname, '../../../abilene.json')
export const abilene = (): Topology => readTopologyFile(ABILENE_FILE)

const REAL = join(import.meta.dirname, '../../../../../shared/data/topologies')

/** The path of a map that others made; says loudly if it is not there. */
export function realTopologyFile(name: string): string | undefined {
  const file = join(REAL, `${name}.json`)
  if (existsSync(file)) return file
  console.warn(`\n*** NOT TESTED: ${name}. There is no ../shared/data/topologies/${name}.json. ***\n`)
  return undefined
}

export const link = (source: string, target: string, cost: number) => ({ source, target, cost })

export function topologyOf(links: Topology['links'], more: Partial<Topology> = {}): Topology {
  const nodeIds = [...new Set(links.flatMap(({ source, target }) => [source, target]))]
  return { label: 'a test', protocol: 'static', metric: 'latency_ms', nodeIds, links, ...more }
}
