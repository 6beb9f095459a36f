import { migrationsOf } from '../../src/migrator/migrations.ts'

/** The migrations that this version ships, in order: `0000_create_tables` and so on. */
export const TAGS: readonly string[] = migrationsOf('sqlite').map(({ tag }) => tag)
export const LATEST: string = TAGS.at(-1) ?? ''
