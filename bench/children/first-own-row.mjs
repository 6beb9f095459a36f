/** `first-own-row.mjs ENTRY FILE MIGRATIONS`: as `first-row.mjs`, with two own tables. */
import { writeSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { schemaOf } from './own-schema.mjs'

const [, , entry, url, migrations] = process.argv
const [{ openStorage }, tables] = await Promise.all([import(pathToFileURL(entry).href), schemaOf(entry)])
const store = await openStorage({ url, tables, migrations })
const [{ nodeId }] = await store.nodes.list({ limit: 1 })
writeSync(1, `${nodeId}\n`)
await store.close()
