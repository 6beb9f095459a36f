/** The rules of our language, which `npm test` applies by itself and `npm run docs` through textlint. */

/** Words of a sentence. */
export const MOST_WORDS = 30
/** A question and a heading may begin so; a sentence that does is read twice. */
export const RIDDLE = /^(?:Of|Who|Whoever|What|Where|Those|Nobody)\b.*[.:;]$/s
/** The term of the glossary, or of the field, and what must not stand in its place. */
export const TERMS: Readonly<Record<string, RegExp>> = {
  'change stream': /\bchange[ -]feed\b/i,
  cutover: /\bswitch-?over\b/i,
  database: /\bDBs?\b|\bdatastore\b/,
  'dead-letter file': /\bdead letter queue\b/i,
  'file system': /\bfilesystem\b/i,
  'resume token': /\b(?:continuation|sync) token\b/i,
  'optimistic concurrency control': /\boptimistic lock(?:ing)?\b/i,
  'keyset pagination': /\b(?:seek|cursor) pagination\b/i,
  'single-flight': /\bsingle ?flight\b|\bdog-?pil/i,
  'the command line': /\bCLI\b/,
  PostgreSQL: /\bPostgres\b|\bpsql database\b/,
  SQLite: /\bsqlite database\b|\bSqlite\b/,
  'topology invalidation': /\bcache bust/i,
  'upsert, save': /\binsert-or-update\b/i,
  'you, the reader': /\bwhoever\b|\bthe user should\b/i,
}
