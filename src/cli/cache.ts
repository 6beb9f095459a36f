import type { Command } from 'commander'
import type { InvalidationFilter, Meshstore } from '../api.ts'
import { StorageError } from '../errors.ts'
import { openStorage } from '../storage.ts'
import { type Common, databaseCommand, urlOf, waitOf, wholeNumber } from './options.ts'
import { count, counted, type Outcome, report } from './output.ts'

type InvalidateFlags = Common & InvalidationFilter
const entriesOf = wholeNumber(1, 2_147_483_647, 'Give a whole number from 1.')

export function addCache(program: Command): void {
  const cache = program.command('cache').description('Looks at the cached paths, and drops them.').helpCommand(false)
  databaseCommand(cache, 'stats')
    .description('Counts the cached paths. Changes nothing.')
    .action((flags: Common) => report(flags, () => stats(flags)))
  databaseCommand(cache, 'clear')
    .description('Drops all cached paths, at once, for every process. Their rows are deleted by the next sweep.')
    .action((flags: Common) => report(flags, () => clear(flags)))
  databaseCommand(cache, 'sweep')
    .description(
      'Deletes cached paths that have expired or been invalidated, and those above the limit. A running store does it by itself.',
    )
    .option('--max-entries <n>', 'evict those above so many that expire first (default: 10000)', entriesOf)
    .action((flags: Common & { maxEntries?: number }) => report(flags, () => sweep(flags)))
  databaseCommand(cache, 'invalidate')
    .description('Drops the cached paths that match all that is given.')
    .option('--source <node>', 'that begin here')
    .option('--destination <node>', 'that end here')
    .option('--through <node>', 'with this node on the way, or at an end')
    .action((flags: InvalidateFlags) => report(flags, () => invalidate(flags)))
}

async function using<T>(
  flags: Common & { maxEntries?: number },
  work: (store: Meshstore) => Promise<T>,
  readOnly = false,
): Promise<T> {
  const { maxEntries } = flags
  // Dropping paths must not migrate the database.
  const options = { url: urlOf(flags), migrate: 'check', busyTimeoutMs: waitOf(flags), pool: { max: 1 } } as const
  // Nor create a file: a read-only open rejects if there is none.
  if (!readOnly) await (await openStorage({ ...options, readOnly: true })).close()
  await using store = await openStorage({ ...options, readOnly, pathCache: { maxEntries } })
  return await work(store)
}

async function stats(flags: Common): Promise<Outcome> {
  const found = await using(
    flags,
    async ({ pathCache }) => {
      const { entries, expired, invalidation } = await pathCache.stats()
      return { entries, expired, valid: await pathCache.count(), invalidation }
    },
    true,
  )
  return {
    json: found,
    text: [
      `Entries       ${count(found.entries)}`,
      `Valid         ${count(found.valid)}`,
      `Expired       ${count(found.expired)}`,
      `Invalidation  ${found.invalidation}`,
    ],
  }
}

async function clear(flags: Common): Promise<Outcome> {
  const cleared = await using(flags, ({ pathCache }) => pathCache.clear())
  return { json: { cleared }, text: [`Dropped ${counted(cleared, 'cached path')}.`] }
}

async function sweep(flags: Common & { maxEntries?: number }): Promise<Outcome> {
  const swept = await using(flags, ({ pathCache }) => pathCache.sweep())
  const { expired, invalidated, evicted } = swept
  return {
    json: swept,
    text: [`Deleted ${count(expired)} expired, ${count(invalidated)} invalidated and ${count(evicted)} surplus paths.`],
  }
}

async function invalidate(flags: InvalidateFlags): Promise<Outcome> {
  const { source, destination, through } = flags
  if (source === undefined && destination === undefined && through === undefined) {
    throw new StorageError('CONFIG', 'Which paths? Give --source, --destination or --through; `cache clear` drops all.')
  }
  const invalidated = await using(flags, ({ pathCache }) => pathCache.invalidate({ source, destination, through }))
  return { json: { invalidated }, text: [`Dropped ${counted(invalidated, 'cached path')}.`] }
}
