/** The README's snippets, as they stand: extracted, compiled and run. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { QUICK } from './support/quick.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '..')
const snippets = [...(await readFile(join(root, 'README.md'), 'utf8')).matchAll(/^```ts\n(.*?)^```$/gms)].map(
  ([, code = '']) => code,
)

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(QUICK, 'meshstore-readme-'))
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  await writeFile(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      extends: join(root, 'tsconfig.json'),
      compilerOptions: { typeRoots: [join(root, 'node_modules/@types')], noUnusedLocals: false },
      include: ['*.ts'],
      exclude: [],
    }),
  )
  for (const [index, code] of snippets.entries()) {
    await writeFile(join(folder, `snippet-${index}.ts`), code.replace("'meshstore'", `'${join(root, 'src/index.ts')}'`))
  }
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('the README', () => {
  test('has snippets, each of which imports the library', () => {
    expect(snippets.length).toBeGreaterThanOrEqual(7)
    for (const code of snippets) expect(code).toContain("from 'meshstore'")
  })

  test('compiles', async () => {
    await run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder]).catch(({ stdout }) => {
      throw new Error(stdout)
    })
  })

  test.each(snippets.map((code, index) => [index, code.split('\n')[0]]))('runs snippet %i: %s', async (index) => {
    const { stderr } = await run(process.execPath, [`snippet-${index}.ts`], { cwd: folder })
    expect(stderr).toBe('')
  })

  test('notices a snippet that fails', async () => {
    await writeFile(join(folder, 'broken.ts'), 'const wrong: number = "text"\nthrow new Error(String(wrong))\n')
    await expect(run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder])).rejects.toThrow()
    await expect(run(process.execPath, ['broken.ts'], { cwd: folder })).rejects.toThrow()
    await rm(join(folder, 'broken.ts'))
  })
})
