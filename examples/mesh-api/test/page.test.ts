/** The page as a person uses it, in a real browser. */
import { expect, test } from 'vitest'
import { eachLastingBackend } from '../../../test/support/settings.ts'
import { readTopologyFile } from '../src/import/read.ts'
import { abilene, realTopologyFile } from './support/topologies.ts'
import { answer, click, program, until, visiting } from './support/visit.ts'

const visit = visiting()

eachLastingBackend('the page', (backend) => {
  test.skipIf(program === undefined)('shows paths between two nodes, and others when a node is stopped', () =>
    visit(backend, abilene(), async (page, { store }) => {
      expect(await page.textContent('h1')).toBe('Abilene')
      expect(await page.textContent('#counts')).toBe('11 of 11 nodes are up')
      await click(page, 'abilene-3')
      expect(await page.textContent('#source')).toBe('Seattle')
      await click(page, 'abilene-9')
      const first = await answer(page)
      expect(first.origin).toBe('computed')
      expect(first.text).toMatch(/in \d+\.\d ms/)
      expect(first.paths[0]).toBe('Seattle → Denver → Kansas City → Indianapolis → Atlanta')
      expect(first.paths[1]).toBe('Seattle → Sunnyvale → Los Angeles → Houston → Atlanta')

      await page.click('#again')
      const again = await answer(page, first.text)
      expect(again).toMatchObject({ origin: 'cache: hit', paths: first.paths })

      await click(page, 'abilene-8')
      expect(await page.textContent('#node-id')).toBe('Houston (abilene-8)')
      await page.click('text=Stop this node')
      const stopped = await answer(page, again.text)
      expect(await page.textContent('#counts')).toBe('10 of 11 nodes are up')
      expect(await store.nodes.get('abilene-8')).toMatchObject({ started: false })
      expect(stopped.origin).toBe('computed')
      expect(stopped.paths.join()).not.toContain('Houston')

      await page.click('text=Start this node')
      const started = await answer(page, stopped.text)
      expect(started.paths).toEqual(first.paths)

      // Its links are shown with their weights; a dear one is used no more.
      const weights = page.locator('#links input')
      expect(await weights.count()).toBe(3)
      for (let index = 0; index < 3; index++) {
        const before = (await page.textContent('#answer')) ?? ''
        await weights.nth(index).fill(String(5_000 + index))
        await weights.nth(index).press('Enter')
        await answer(page, before)
        // The keyboard's focus stays where it was.
        await until(page, `document.activeElement === document.querySelectorAll('#links input')[${index}]`)
      }
      const links = await store.tables.links.list({ orderBy: 'cost', descending: true, limit: 3 })
      expect(links.map(({ cost }) => cost)).toEqual([5_002, 5_001, 5_000])
      expect(await page.locator('#paths li .hops').first().innerText()).toBe(first.paths[0])
      // Another program's change is seen, too.
      for (const { linkId } of links) await store.tables.links.update(linkId, { cost: 0.5 })
      for (let index = 0; index < 3; index++)
        while ((await weights.nth(index).inputValue()) !== '0.5') await new Promise((done) => setTimeout(done, 20))
      await page.locator('#changes li', { hasText: 'link changed' }).first().waitFor()

      await page.keyboard.press('Escape')
      expect(await page.textContent('#source')).toBe('Click a node')
      expect(await page.locator('#paths li').count()).toBe(0)
      for (const name of ['New York', 'abilene-1']) {
        await page.fill('#wanted', name)
        await page.press('#wanted', 'Enter')
      }
      expect((await answer(page)).paths[0]).toBe('New York → Chicago')
    }),
  )

  test.skipIf(program === undefined)('shows nodes that the topology lacks, and those that are gone', () =>
    visit(backend, { ...abilene(), names: new Map() }, async (page, { store }) => {
      await store.nodes.delete('abilene-8')
      await store.nodes.create({ nodeId: '<b>"1::2"</b>', interfaces: [], protocols: [], started: true })
      await page.reload()
      await page.waitForSelector('html[data-ready]')
      expect(await page.textContent('#counts')).toBe('11 of 11 nodes are up')
      await click(page, '<b>"1::2"</b>')
      expect(await page.textContent('#node-id')).toBe('<b>"1::2"</b>')
      await click(page, 'abilene-0')
      expect((await answer(page)).paths).toEqual([])
      expect(await page.textContent('#paths')).toBe('No path connects the two.')
    }),
  )

  test.skipIf(program === undefined)('shows what others change as it happens, and draws it', () =>
    visit(backend, abilene(), async (page, { opened }) => {
      await page.waitForSelector('#live.live')
      const newest = page.locator('#changes li').first()
      const others = await opened.openAgain()
      await others.nodes.update('abilene-8', { started: false })
      await page.getByText('10 of 11 nodes are up').waitFor()
      expect(await page.locator('#changes li').allInnerTexts()).toContainEqual('node changed\nHouston')
      await others.nodes.delete('abilene-8')
      await page.getByText('10 of 10 nodes are up').waitFor()
      await page.locator('#changes li', { hasText: 'node removed' }).waitFor()
      await others.nodes.create({ nodeId: '<b>new</b>', interfaces: [], protocols: [], started: true })
      await page.getByText('11 of 11 nodes are up').waitFor()
      await others.policies.create({ policyId: 'p', yamlContent: 'rules: []\n' })
      await page.locator('#changes li', { hasText: 'policy added' }).waitFor()
      await others.pathCache.invalidate({ source: 'x', through: 'y' })
      await newest.getByText('from x, across y').waitFor()
      // The latest of many are listed, and all are read at once.
      await others.nodes.saveMany(
        Array.from({ length: 300 }, (_, index) => ({
          nodeId: `n-${index}`,
          interfaces: [],
          protocols: [],
          started: true,
        })),
      )
      await page.getByText('311 of 311 nodes are up').waitFor()
      expect(await page.locator('#changes li').count()).toBe(50)
    }),
  )

  const aachen = realTopologyFile('freifunk-aachen')
  test.skipIf(program === undefined || aachen === undefined)('shows a mesh of 1,971 nodes', () =>
    visit(backend, readTopologyFile(aachen ?? ''), async (page) => {
      expect(await page.textContent('#counts')).toBe('1,972 of 1,972 nodes are up')
      for (const id of ['aachen-111', 'aachen-1501']) {
        await page.fill('#wanted', id)
        await page.press('#wanted', 'Enter')
      }
      expect((await answer(page)).paths.length).toBeGreaterThan(0)
    }),
  )
})
