/** Reads NetJSON NetworkGraphs (https://netjson.org/rfc.html). */
import { readFileSync } from 'node:fs'
import { graphOf, NoGraph, type Topology } from '../../src/transfer/netjson.ts'
import { UsageError } from './usage.ts'

export { type Link, nodesOf, type Topology } from '../../src/transfer/netjson.ts'

/** Throws UsageError. */
export function readTopologyFile(file: string): Topology {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${error instanceof Error ? error.message : error}`)
  }
  return readTopology(text, file)
}

/** Throws UsageError, which says where and why. `file` is what messages begin with. */
export function readTopology(text: string, file: string): Topology {
  const refusal = (problem: string): UsageError => new UsageError(`${file} is no NetJSON NetworkGraph: ${problem}.`)
  try {
    const { topology, problems } = graphOf(parsed(text, file), file)
    const [problem] = problems
    if (problem !== undefined) throw refusal(`${problem.list}[${problem.index}].${problem.member} ${problem.message}`)
    if (topology.nodeIds.length === 0) throw refusal('it names no nodes')
    return topology
  } catch (error) {
    throw error instanceof NoGraph ? refusal(error.message) : error
  }
}

function parsed(text: string, file: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new UsageError(`${file} is no JSON.`)
  }
}
