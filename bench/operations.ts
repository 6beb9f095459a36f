/** The calls to every peer. Every `n` is another row, or another value of it. */
import { NODES, nodeId, nodeOf } from './data.ts'
import type { Arguments, Method } from './peer.ts'

export interface Operation {
  readonly name: string
  readonly method: Method
  readonly args: (n: number) => Arguments
  readonly writes: boolean
  /** Rows that a single call returns, by which it takes longer. */
  readonly rows: number
}

const PAGE = 100
/** Neighbouring rows would be on the page that was read before. */
const scattered = (n: number, of = NODES): number => (n * 7_919) % of
const evenId = (n: number): string => nodeId((n * 2) % NODES)
/** Nodes with an even number are started: the first time around they stop, then they start again. */
const started = (n: number): boolean => Math.floor((n * 2) / NODES) % 2 === 1
const newId = (n: number): string => `new-${String(n).padStart(7, '0')}`

export const READS: readonly Operation[] = [
  { name: 'read by id', method: 'get', args: (n) => [nodeId(scattered(n))], writes: false, rows: 1 },
  {
    name: `read ${PAGE}`,
    method: 'getMany',
    args: (n) => [Array.from({ length: PAGE }, (_, of) => nodeId(scattered(n * PAGE + of)))],
    writes: false,
    rows: PAGE,
  },
  {
    name: `list a page of ${PAGE}`,
    method: 'list',
    args: (n) => [nodeId(scattered(n, NODES - PAGE)), PAGE],
    writes: false,
    rows: PAGE,
  },
]

/** In this order: what is deleted has been inserted before. */
export const WRITES: readonly Operation[] = [
  { name: 'insert', method: 'insert', args: (n) => [nodeOf(n, newId(n))], writes: true, rows: 1 },
  { name: 'update', method: 'update', args: (n) => [evenId(n), started(n)], writes: true, rows: 1 },
  {
    name: 'upsert',
    method: 'upsert',
    args: (n) => [{ ...nodeOf(n % NODES), protocols: [`protocol-${n}`] }],
    writes: true,
    rows: 1,
  },
  { name: 'delete', method: 'delete', args: (n) => [newId(n)], writes: true, rows: 1 },
]

/** In flight, what the others show would show again, and takes long: the quick form leaves it out. */
export const inFlight = (operations: readonly Operation[], quick: boolean): readonly Operation[] =>
  operations.filter(({ method }) => !quick || method === 'get' || method === 'insert')
