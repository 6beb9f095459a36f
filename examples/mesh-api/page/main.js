/** The page: click two nodes and see the paths between them; click a third one to look at it, and to stop or start it. */
import { allNodes, linksOf, listen, meshMap, nodeOf, pathsBetween, setStarted, setWeight } from './api.js'
import { ChangesPanel } from './changes-panel.js'
import { ChartsPanel } from './charts-panel.js'
import { LinksPanel } from './links-panel.js'
import { MeshView } from './mesh-view.js'
import { NodePanel } from './node-panel.js'
import { PathsPanel } from './paths-panel.js'

const at = (id) => document.getElementById(id)

const [map, stored] = await Promise.all([meshMap(), allNodes()])
const nodes = new Map(stored.map((node) => [node.node_id, node]))
const labels = new Map(map.nodes.map(({ id, label }) => [id, label]))
const others = stored.filter(({ node_id }) => !labels.has(node_id)).map(({ node_id: id }) => ({ id, label: id }))
const labelOf = (id) => labels.get(id) ?? id

/** None, a source, or a source and a destination. */
let ends = []

const view = new MeshView(at('mesh'), map, others, { chosen: choose, cleared: clear })
const nodePanel = new NodePanel(({ node_id, started }) => trying(() => toggle(node_id, !started)))
const linksPanel = new LinksPanel({ chosen: look, weighed: (id, cost) => trying(() => weigh(id, cost)) })
const changesPanel = new ChangesPanel(labelOf)
const pathsPanel = new PathsPanel(labelOf, { chosen: look, again: () => trying(findPaths), cleared: clear })

at('label').textContent = map.label
document.title = map.label
at('known').replaceChildren(...[...labels.keys(), ...others.map(({ id }) => id)].map(option))
view.setStates([...labels.keys(), ...nodes.keys()].map((id) => [id, stateOf(id)]))
count()

at('whole').addEventListener('click', () => view.showWhole())
at('closer').addEventListener('click', () => view.zoomBy(1.5))
at('farther').addEventListener('click', () => view.zoomBy(1 / 1.5))
at('search').addEventListener('submit', (event) => {
  event.preventDefault()
  const wanted = at('wanted').value.trim()
  const id = [...labels.keys(), ...nodes.keys()].find((each) => each === wanted || labelOf(each) === wanted)
  if (id === undefined) return
  at('wanted').value = ''
  choose(id)
  view.bringIntoView(ends.includes(id) ? ends : [...ends, id])
})
document.addEventListener('keydown', ({ key }) => {
  if (key === 'Escape') clear()
})

/** The first two are the ends of paths; further ones are looked at. */
function choose(id) {
  if (ends.length < 2 && !ends.includes(id)) {
    ends = [...ends, id]
    view.setEnds(ends)
    pathsPanel.showEnds(ends)
    if (ends.length === 2) trying(findPaths)
  }
  look(id)
}

function look(id) {
  view.select(id)
  const node = nodes.get(id)
  if (node === undefined) nodePanel.hide()
  else {
    nodePanel.show(node, labelOf(id))
    // It may have changed since the page was loaded.
    trying(async () => {
      shown(await nodeOf(id))
      await showLinks(id)
    })
  }
}

function clear() {
  ends = []
  view.setEnds(ends)
  view.showPaths()
  view.select(undefined)
  pathsPanel.showEnds(ends)
  pathsPanel.clear()
  nodePanel.hide()
}

async function findPaths() {
  const [source, destination] = ends
  if (destination === undefined) return
  const found = await pathsBetween(source, destination, pathsPanel.k)
  // Others may have been chosen meanwhile.
  if (ends[0] !== source || ends[1] !== destination) return
  pathsPanel.show(found)
  view.showPaths(found)
}

async function toggle(id, started) {
  shown(await setStarted(id, started))
  await findPaths()
}

async function showLinks(id) {
  const links = await linksOf(id)
  // Another node may have been chosen meanwhile.
  if (nodePanel.id === id) linksPanel.show(links)
  view.setWeights(links.map(({ node_id, cost }) => ({ source: id, target: node_id, weight: cost })))
}

async function weigh(linkId, cost) {
  await setWeight(linkId, cost)
  await findPaths()
  if (nodePanel.id !== undefined) await showLinks(nodePanel.id)
}

function shown(node) {
  nodes.set(node.node_id, node)
  view.setStates([[node.node_id, stateOf(node.node_id)]])
  if (nodePanel.id === node.node_id) nodePanel.show(node, labelOf(node.node_id))
  count()
}

function stateOf(id) {
  const node = nodes.get(id)
  return node === undefined ? 'missing' : node.started ? 'up' : 'stopped'
}

function count() {
  const up = [...nodes.values()].filter(({ started }) => started).length
  at('counts').textContent = `${up.toLocaleString('en')} of ${nodes.size.toLocaleString('en')} nodes are up`
}

/** Shows an error of the work on the page. */
async function trying(work) {
  at('trouble').hidden = true
  try {
    await work()
  } catch (error) {
    at('trouble').textContent = error.message
    at('trouble').hidden = false
  }
}

function option(value) {
  const made = document.createElement('option')
  made.value = value
  if (labelOf(value) !== value) made.label = labelOf(value)
  return made
}

/** How long changes are gathered before what changed is read. */
const GATHERED_MS = 200
/** More of them than that are read all at once. */
const MOST_READ_SINGLY = 20
/** The latest change of each node. */
let changed = new Map()

listen({
  changed: (change) => {
    changesPanel.show(change)
    if (change.table === 'links') return linksChanged()
    if (change.table !== 'nodes') return
    if (changed.size === 0) setTimeout(() => trying(readChanged), GATHERED_MS)
    changed.set(change.key, change.operation)
  },
  // Changes between loading and listening reach no subscriber: the page reads all again.
  begun: () => trying(readAllAgain),
  missed: () => {
    changesPanel.missed()
    trying(readAllAgain)
  },
  listening: (is) => changesPanel.listening(is),
})

let areLinksRead = false
/** Weights are read anew, once for many changes; links that have come since the page was loaded are drawn when it is loaded again. */
function linksChanged() {
  if (areLinksRead) return
  areLinksRead = true
  setTimeout(() => {
    areLinksRead = false
    trying(async () => {
      view.setWeights((await meshMap()).links)
      if (nodePanel.id !== undefined) await showLinks(nodePanel.id)
    })
  }, GATHERED_MS)
}

async function readChanged() {
  const lately = changed
  changed = new Map()
  if (lately.size > MOST_READ_SINGLY || lately.has(undefined)) return readAllAgain()
  for (const [id, operation] of lately) {
    if (operation === 'delete') removed(id)
    else shown(await nodeOf(id))
  }
}

function removed(id) {
  nodes.delete(id)
  view.setStates([[id, stateOf(id)]])
  if (nodePanel.id === id) nodePanel.hide()
  count()
}

async function readAllAgain() {
  const all = await allNodes()
  const before = new Map([...nodes.keys()].map((id) => [id, stateOf(id)]))
  nodes.clear()
  for (const node of all) nodes.set(node.node_id, node)
  // Most of the thousands that are drawn have not changed.
  const states = [...new Set([...before.keys(), ...nodes.keys()])].map((id) => [id, stateOf(id)])
  view.setStates(states.filter(([id, state]) => before.get(id) !== state))
  count()
}

new ChartsPanel()

/** For a test: where on the page a node is, and that all is drawn. */
globalThis.mesh = { placeOf: (id) => view.placeOf(id) }
document.documentElement.dataset.ready = 'true'
