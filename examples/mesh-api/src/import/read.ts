/** Reads a mesh from a file in one of the formats that are known. */
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { type Topology, TopologyError } from '../topology.ts'
import { BATMAN_ADV, fromBatmanAdv } from './batman-adv.ts'
import { FREIFUNK, fromFreifunk } from './freifunk.ts'
import { fromNetJson, NETJSON } from './netjson.ts'
import { fromOlsr, OLSR } from './olsr.ts'

const IMPORTERS = [fromNetJson, fromFreifunk, fromOlsr, fromBatmanAdv]

/** Throws TopologyError. */
export function readTopologyFile(path: string): Topology {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new TopologyError(`${path} cannot be read: ${error instanceof Error ? error.message : error}`)
  }
  return topologyIn(text, basename(path))
}

/** Throws TopologyError. `file` is what messages begin with. */
export function topologyIn(text: string, file: string): Topology {
  const content = { text, json: jsonIn(text), file }
  for (const importer of IMPORTERS) {
    const topology = importer(content)
    if (topology !== undefined) return topology
  }
  throw new TopologyError(
    `${file} has an unknown format. Expected: a ${NETJSON}, a ${BATMAN_ADV}, a ${OLSR}, or a ${FREIFUNK}.`,
  )
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
