/** Programs of other kinds on the same file: what they write is taken along, and afterwards SQL tells them where the data is. */
import { spawnSync } from 'node:child_process'
import Sqlite from 'better-sqlite3'
import { expect, test } from 'vitest'
import { describePostgres } from '../../postgres/support/suite.ts'
import { sqliteProgram } from '../../support/other-program.ts'
import { node } from '../../support/samples.ts'
import { moving } from './support/moving.ts'

describePostgres('a program of another kind', () => {
  const INSERT = "INSERT INTO nodes VALUES (?, '[]', '[\"olsr\"]', 1, ?, 1.5, 2.5)"
  const PYTHON = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=10)
for n in range(int(sys.argv[2])):
    try:
        db.execute("INSERT INTO nodes VALUES (?, '[]', '[]', 1, 0, 1.5, 2.5)", (sys.argv[3] + str(n),))
        db.execute("UPDATE nodes SET routes_discovered = routes_discovered + 1 WHERE node_id = 'counted'")
        db.commit()
    except sqlite3.Error as error:
        print(type(error).__name__, error)
        sys.exit(3)
`
  const python = (path: string, count: number, prefix: string) => {
    const { status, stdout, stderr } = spawnSync('python3', ['-c', PYTHON, path, String(count), prefix], {
      encoding: 'utf8',
    })
    return { status, output: stdout + stderr }
  }

  const hasPython = spawnSync('python3', ['-c', 'import sqlite3']).status === 0
  if (!hasPython) console.warn('NO PYTHON HERE: a file that moves is written by the bare driver alone.')

  test('is followed while it writes, and then told where the data is', async () => {
    await using moved = await moving()
    const { store } = moved
    await store.nodes.create(node('counted'))
    const raw = new Sqlite(moved.path)
    const wrote: string[] = []
    await store.moveTo(moved.url, {
      onProgress: ({ step, done }) => {
        // In the middle of each step.
        const id = `${step}-${done}-${wrote.length}`
        raw.prepare(INSERT).run(id, wrote.length)
        raw.prepare("UPDATE nodes SET routes_discovered = routes_discovered + 1 WHERE node_id = 'counted'").run()
        if (wrote.length % 3 === 2) raw.prepare('DELETE FROM nodes WHERE node_id = ?').run(wrote.at(-1))
        wrote.push(id)
        if (hasPython) expect(python(moved.path, 2, `python-${wrote.length}-`)).toEqual({ status: 0, output: '' })
      },
    })
    expect(wrote.length).toBeGreaterThan(5)
    const rows = await store.nodes.list({ limit: 1_000 })
    const kept = wrote.filter((_, n) => !(n % 3 === 1 && n + 1 < wrote.length))
    const pythons = wrote.flatMap((_, n) => (hasPython ? [0, 1].map((each) => `python-${n + 1}-${each}`) : []))
    const ids = [...kept, 'counted', ...pythons]
    expect(rows.map(({ nodeId }) => nodeId).toSorted()).toEqual(ids.toSorted())
    expect(rows.find(({ nodeId }) => nodeId === 'counted')?.routesDiscovered).toBe(wrote.length + pythons.length)

    const told = /meshstore: this database has moved to PostgreSQL at 127\.0\.0\.1:\d+\/\w+/
    if (hasPython) {
      const { status, output } = python(moved.path, 1, 'late')
      expect(status).toBe(3)
      expect(output).toMatch(/^IntegrityError /)
      expect(output).toMatch(told)
    }
    for (const sql of [
      "INSERT INTO nodes VALUES ('late', '[]', '[]', 1, 0, 1, 1)",
      "INSERT OR IGNORE INTO nodes VALUES ('late', '[]', '[]', 1, 0, 1, 1)",
      "INSERT OR REPLACE INTO nodes VALUES ('counted', '[]', '[]', 1, 0, 1, 1)",
      "INSERT OR ROLLBACK INTO policies VALUES ('p', '', 0, 1, 1)",
      'UPDATE OR IGNORE nodes SET started = 0',
      "UPDATE nodes SET node_id = 'other' WHERE node_id = 'counted'",
      'DELETE FROM nodes',
      "INSERT INTO path_cache VALUES ('a:b:1', 'a', 'b', 1, '{}', 1, 1)",
    ])
      expect(() => raw.exec(sql), sql).toThrow(told)
    expect(raw.prepare("SELECT count(*) FROM nodes WHERE node_id = 'late'").pluck().get()).toBe(0)
    raw.close()
  })

  test('that has a transaction open keeps the switch waiting, and no caller for longer than it would anyway', async () => {
    await using moved = await moving()
    const { store } = moved
    const raw = new Sqlite(moved.path)
    let [attempts, ended] = [0, 0]
    await store.moveTo(moved.url, {
      onProgress: ({ step, done }) => {
        if (step !== 'switching') return
        attempts = done
        if (done > 1) return
        raw.exec('BEGIN IMMEDIATE')
        raw.prepare(INSERT).run('slow', 0)
        setTimeout(() => {
          ended++
          raw.exec('COMMIT')
        }, 60)
      },
    })
    expect([attempts, ended]).toEqual([1, 1])
    expect(await store.nodes.get('slow')).toBeDefined()
    raw.close()
  })

  test('whose file was moved reads what was there at the switch', async () => {
    await using moved = await moving()
    await moved.store.nodes.create(node('a'))
    await moved.store.moveTo(moved.url)
    await moved.store.nodes.create(node('b'))
    expect((await sqliteProgram(moved.path).rows('nodes')).map((row) => row.node_id)).toEqual(['a'])
  })
})
