/**
 * Checked by the compiler: the twin tables infer equal rows. That it can fail is tested in row-types.test.ts.
 */
import type { InferInsertModel, InferSelectModel, Table } from 'drizzle-orm'
import type { CachedPath, MeshNode, PathBundle, Policy } from '../../src/schema/index.ts'
import type * as postgres from '../../src/schema/postgres.ts'
import type * as sqlite from '../../src/schema/sqlite.ts'

/** Not fooled by `any`, nor by an optional or a readonly property. */
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
type Holds<T extends true> = T

type Rows<Module> = {
  [K in keyof Module as Module[K] extends Table ? K : never]: Module[K] extends Table
    ? { select: InferSelectModel<Module[K]>; insert: InferInsertModel<Module[K]> }
    : never
}
type Bookkeeping = 'invalidations' | 'seenPositions' | 'changes'
type Selected<Module> = { [K in keyof Rows<Module> & Bookkeeping]: Rows<Module>[K]['select'] }
type Columns<R> = { [K in keyof R]: R[K] extends { select: infer S } ? S[keyof S] : never }[keyof R]
type IsAny<T> = 0 extends 1 & T ? true : false

export type Proofs = [
  Holds<Equal<Omit<Rows<typeof sqlite>, Bookkeeping>, Omit<Rows<typeof postgres>, Bookkeeping>>>,
  // PostgreSQL tells by transactions what SQLite tells by ids.
  Holds<
    Equal<Selected<typeof sqlite>['invalidations'], Omit<Selected<typeof postgres>['invalidations'], 'transaction'>>
  >,
  Holds<
    Equal<
      Selected<typeof sqlite>['seenPositions'],
      Omit<Selected<typeof postgres>['seenPositions'], 'transaction' | 'snapshot'>
    >
  >,
  Holds<Equal<Selected<typeof sqlite>['changes'], Omit<Selected<typeof postgres>['changes'], 'transaction'>>>,
  Holds<
    Equal<Extract<keyof Rows<typeof sqlite>, 'nodes' | 'policies' | 'pathCache'>, 'nodes' | 'policies' | 'pathCache'>
  >,
  Holds<Equal<IsAny<Columns<Rows<typeof sqlite>>>, false>>,
  Holds<Equal<IsAny<Columns<Rows<typeof postgres>>>, false>>,
  Holds<
    Equal<
      MeshNode,
      {
        nodeId: string
        interfaces: string[]
        protocols: string[]
        started: boolean
        routesDiscovered: number
        createdAt: Date
        updatedAt: Date
      }
    >
  >,
  Holds<Equal<Policy, { policyId: string; yamlContent: string; rulesCount: number; createdAt: Date; updatedAt: Date }>>,
  Holds<
    Equal<
      CachedPath,
      {
        cacheKey: string
        source: string
        destination: string
        k: number
        bundle: PathBundle
        createdAt: Date
        expiresAt: Date
      }
    >
  >,
]

export type Refusals = [
  // @ts-expect-error: another type
  Holds<Equal<{ a: string }, { a: number }>>,
  // @ts-expect-error: any
  Holds<Equal<{ a: string }, { a: ReturnType<typeof JSON.parse> }>>,
  // @ts-expect-error: optional
  Holds<Equal<{ a: string }, { a?: string }>>,
  // @ts-expect-error: one more
  Holds<Equal<{ a: string }, { a: string; b: string }>>,
]
