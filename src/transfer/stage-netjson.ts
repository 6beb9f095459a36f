import { StorageError } from '../errors.ts'
import { TABLES } from '../schema/tables.ts'
import { type Counts, countsOf } from './counts.ts'
import { rowLine } from './format.ts'
import { linesOfElements } from './json-lines.ts'
import { wholeText } from './lines.ts'
import { type Graph, graphOf, NoGraph, nodesOf, type Place } from './netjson.ts'
import type { OnConflict, Staging } from './staging.ts'

/** Maximum size of a document, which is parsed in memory. */
const MAX_DOCUMENT_BYTES = 64 * 1_048_576

/** Reads a NetworkGraph: stages its nodes, and records invalid elements as refusals. */
export async function stageNetJson(
  bytes: AsyncIterable<Buffer>,
  staging: Staging,
  counts: Counts,
  options: { onConflict: OnConflict; now: Date },
): Promise<void> {
  const text = await wholeText(bytes, MAX_DOCUMENT_BYTES)
  const graph = read(text)
  const lines = linesOfElements(text)
  const lineOf = ({ list, index }: Place): number => lines.get(list)?.[index] ?? 1
  for (const problem of graph.problems) {
    const { list, index, member, message } = problem
    staging.refuse({ line: lineOf(problem), column: `${list}[${index}].${member}`, message })
  }
  for (const place of graph.repeated) {
    if (options.onConflict !== 'error') countsOf(counts, 'nodes').repeated++
    else staging.refuse({ line: lineOf(place), column: `nodes[${place.index}].id`, message: 'is listed already' })
  }
  const seconds = options.now.getTime() / 1_000
  for (const { nodeId, interfaces, protocols, started } of nodesOf([graph.topology])) {
    const line = lineOf(graph.places.get(nodeId) ?? { list: 'nodes', index: 0 })
    const row = rowLine(TABLES.nodes, [nodeId, interfaces, protocols, started, 0, seconds, seconds])
    staging.add('nodes', { line, key: nodeId, text: row }, options.onConflict)
  }
}

function read(text: string): Graph {
  if (text.trim() === '')
    throw new StorageError(
      'VALIDATION',
      'The file is empty. Nothing was imported. Check that the export was completed.',
    )
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch {
    throw new StorageError(
      'VALIDATION',
      'The file is neither an export of meshstore nor one JSON document. Nothing was imported. Check which file you gave.',
    )
  }
  try {
    return graphOf(document, 'NetJSON')
  } catch (error) {
    if (!(error instanceof NoGraph)) throw error
    throw new StorageError(
      'VALIDATION',
      `The file is no NetJSON NetworkGraph: ${error.message}. Nothing was imported. Correct the file.`,
    )
  }
}
