/** A row's version over HTTP is its `updatedAt`, which moves with each change. */
import { StorageError } from 'meshstore'
import { HttpProblem } from './problems.ts'

export const etagOf = ({ updatedAt }: { readonly updatedAt: Date }): string => `"${updatedAt.toISOString()}"`

/** The version that `If-Match` asks for; `undefined` if any will do. A tag that none of ours can be matches nothing: 412. */
export function expectedVersion(ifMatch: string | undefined): Date | undefined {
  if (ifMatch === undefined || ifMatch.trim() === '*') return undefined
  const [, text = ''] = /^"([^"]*)"$/.exec(ifMatch.trim()) ?? []
  const version = new Date(text)
  if (Number.isNaN(version.getTime())) throw changed()
  return version
}

/** A CONFLICT of a caller who named a version is a failed precondition. */
export async function ifUnchanged<T>(version: Date | undefined, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (version !== undefined && error instanceof StorageError && error.code === 'CONFLICT') throw changed()
    throw error
  }
}

export const changed = (): HttpProblem => new HttpProblem(412, 'It has changed since it was read. Read it again.')
