/** Two own tables of the library at ENTRY: `stations` has the columns of `nodes`. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** The schema entries of the build, or of the source. */
const entryOf = (entry, name) =>
  import(
    pathToFileURL(
      entry.endsWith('.ts') ? entry.replace('index.ts', `${name}-entry.ts`) : entry.replace('index.js', `${name}.js`),
    ).href
  )

export async function schemaOf(entry) {
  const [{ schema, table }, sqlite, postgres] = await Promise.all(
    ['tables', 'tables-sqlite', 'tables-postgres'].map((name) => entryOf(entry, name)),
  )
  const stations = (make, { boolean, index, integer, list, text, time }) =>
    make(
      'stations',
      {
        stationId: text('station_id').primaryKey().notNull(),
        interfaces: list('interfaces').notNull(),
        protocols: list('protocols').notNull(),
        started: boolean('started').notNull(),
        routesDiscovered: integer('routes_discovered').notNull(),
        createdAt: time('created_at').notNull(),
        updatedAt: time('updated_at').notNull(),
      },
      (columns) => [index('idx_stations_updated').on(columns.updatedAt)],
    )
  const places = (make, { text }) =>
    make('places', { placeId: text('place_id').primaryKey().notNull(), name: text('name').notNull() })
  const twins = (of) => ({ sqlite: of(sqlite.sqliteTable, sqlite), postgres: of(postgres.pgTable, postgres) })
  return schema({
    stations: table({ ...twins(stations), key: 'stationId' }),
    places: table({ ...twins(places), key: 'placeId' }),
  })
}

const SQL = {
  sqlite: { text: 'text', list: 'text', flag: 'integer', time: 'real', version: '6' },
  postgresql: { text: 'text COLLATE "C"', list: 'jsonb', flag: 'boolean', time: 'double precision', version: '7' },
}

/** Writes their migrations, in the form of drizzle-kit. */
export function writeMigrations(folder) {
  for (const [dialect, { text, list, flag, time, version }] of Object.entries(SQL)) {
    mkdirSync(join(folder, dialect, 'meta'), { recursive: true })
    const entries = [{ idx: 0, version, when: 1_795_000_000_000, tag: '0000_stations', breakpoints: true }]
    writeFileSync(join(folder, dialect, 'meta/_journal.json'), JSON.stringify({ version: '7', dialect, entries }))
    const statements = [
      `CREATE TABLE stations (station_id ${text} PRIMARY KEY NOT NULL, interfaces ${list} NOT NULL, protocols ${list} NOT NULL,
       started ${flag} NOT NULL, routes_discovered integer NOT NULL, created_at ${time} NOT NULL, updated_at ${time} NOT NULL)`,
      'CREATE INDEX idx_stations_updated ON stations (updated_at)',
      `CREATE TABLE places (place_id ${text} PRIMARY KEY NOT NULL, name ${text} NOT NULL)`,
    ]
    writeFileSync(join(folder, dialect, '0000_stations.sql'), statements.join(';\n--> statement-breakpoint\n'))
  }
  return folder
}
