/** Checks of values that an importer has read from a file. */
import { TopologyError } from '../topology.ts'

/** A file's content, as text and, where it is JSON, as a value. */
export interface Content {
  /** The beginning of the error's message. */
  readonly file: string
  readonly text: string
  readonly json: unknown
}

export const membersOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}

export const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''

export const listOf = (value: unknown): readonly unknown[] | undefined => (Array.isArray(value) ? value : undefined)

/** Numbers may be written as texts. */
export const numberIn = (value: unknown): number =>
  isText(value) ? Number(value) : typeof value === 'number' ? value : Number.NaN

export const refusing =
  (file: string, format: string) =>
  (problem: string): never => {
    throw new TopologyError(`${file} is no ${format}: ${problem}.`)
  }
