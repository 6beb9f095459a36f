import { SHIPPED } from '../../src/migrator/shipped.ts'

/** The migrations that this version ships, in order: `0000_create_tables` and so on. */
export const TAGS: readonly string[] = SHIPPED.sqlite.map(({ tag }) => tag)
export const LATEST: string = TAGS.at(-1) ?? ''
