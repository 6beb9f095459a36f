/** The mesh, drawn by Cytoscape. */
import cytoscape from '/page/cytoscape.js'
import { colour, onThemeChange } from './theme.js'

/** Pixels between neighbours, about. */
const SPACING = { small: 110, large: 46 }
/** The nodes of a small mesh need not fill the view. */
const MOST_ZOOM = 1.4
/** Above it, labels are shown for chosen nodes alone, and links are left out while the view moves. */
const SMALL = 80
const MARGIN = 40

/** Names of colours in the style sheet. */
const COLOURS = ['path-1', 'path-2', 'path-3', 'path-4', 'path-5', 'path-6']
export const ALTERNATIVE = 'quiet'

export class MeshView {
  #graph
  /** By the ids of their ends, in either order. */
  #links = new Map()
  #paths
  /** The whole mesh is shown, and not what somebody has moved or zoomed to. */
  #isWhole = true
  #isSmall
  #scale = 1

  /** `chosen` is told the id of a node that is clicked, `cleared` when what lies between them is. */
  constructor(container, { nodes, links }, others, { chosen, cleared }) {
    const isSmall = nodes.length <= SMALL
    this.#isSmall = isSmall
    const places = placesOf(nodes, others, isSmall ? SPACING.small : SPACING.large)
    this.#graph = cytoscape({
      container,
      elements: {
        nodes: [...nodes, ...others].map(({ id, label }) => ({
          data: { id: nodeKey(id), node: id, label },
          position: places.get(id),
        })),
        edges: links.map(({ source, target, weight }, index) => ({
          data: { id: `l${index}`, source: nodeKey(source), target: nodeKey(target), weight: weightText(weight) },
        })),
      },
      layout: { name: 'preset' },
      style: styleOf(isSmall),
      minZoom: 0.02,
      maxZoom: 2.5,
      autoungrabify: true,
      boxSelectionEnabled: false,
      selectionType: 'single',
      hideEdgesOnViewport: !isSmall,
      textureOnViewport: !isSmall,
    })
    for (const [index, { source, target }] of links.entries()) {
      const link = this.#graph.getElementById(`l${index}`)
      this.#links.set(`${source}\n${target}`, link).set(`${target}\n${source}`, link)
    }
    this.#graph.on('tap', 'node', ({ target }) => chosen(target.data('node')))
    this.#graph.on('tap', ({ target }) => {
      if (target === this.#graph) cleared()
    })
    this.#graph.on('dragpan scrollzoom pinchzoom', () => {
      this.#isWhole = false
    })
    // Cytoscape hears of the window alone, and the container also changes when the charts are folded.
    new ResizeObserver(() => this.#refit()).observe(container)
    onThemeChange(() => this.#restyle())
    this.showWhole()
  }

  /** `'up'`, `'stopped'` or `'missing'`. */
  setStates(states) {
    this.#graph.batch(() => {
      for (const [id, state] of states) this.#node(id).removeClass('up stopped missing').addClass(state)
    })
  }

  /** Shows new weights of links that are drawn already. */
  setWeights(links) {
    this.#graph.batch(() => {
      for (const { source, target, weight } of links)
        this.#links.get(`${source}\n${target}`)?.data('weight', weightText(weight))
    })
  }

  setEnds(ends) {
    this.#graph.batch(() => {
      this.#graph.$('.end').removeClass('end')
      for (const id of ends) this.#node(id).addClass('end')
    })
  }

  select(id) {
    this.#graph.$(':selected').unselect()
    if (id !== undefined) this.#node(id).select()
  }

  /** The best path is drawn last, so that it lies on the others. */
  showPaths(paths) {
    this.#paths = paths
    const { primary = [], alternatives = [] } = paths ?? {}
    this.#graph.batch(() => {
      this.#graph.$('.path').removeClass('path alternative').removeStyle()
      this.#graph.$('.away').removeClass('away')
      if (primary.length + alternatives.length === 0) return
      this.#graph.edges().addClass('away')
      for (const { nodes } of alternatives.toReversed()) this.#draw(nodes, ALTERNATIVE, 'path alternative')
      for (const [index, { nodes }] of [...primary.entries()].toReversed()) this.#draw(nodes, colourOf(index), 'path')
    })
  }

  #draw(nodes, name, classes) {
    for (const [index, id] of nodes.entries()) {
      const node = this.#node(id)
      node.addClass('path')
      const link = this.#links.get(`${nodes[index - 1]}\n${id}`)
      link?.removeClass('away alternative').addClass(classes).style('line-color', colour(name))
    }
  }

  /** Moves the view to where these nodes are, unless they are seen anyway. */
  bringIntoView(ids) {
    const nodes = this.#graph.collection(ids.map((id) => this.#node(id)))
    const seen = this.#graph.extent()
    const { x1, x2, y1, y2 } = nodes.boundingBox()
    const isSeen = x1 >= seen.x1 && x2 <= seen.x2 && y1 >= seen.y1 && y2 <= seen.y2
    if (isSeen) return
    this.#isWhole = false
    const there = nodes.length > 1 ? { fit: { eles: nodes, padding: 2 * MARGIN } } : { center: { eles: nodes } }
    this.#graph.animate(there, { duration: 300 })
  }

  showWhole() {
    const graph = this.#graph
    this.#isWhole = true
    const margin = Math.min(MARGIN, graph.width() / 10, graph.height() / 10)
    graph.fit(undefined, margin)
    if (graph.zoom() > MOST_ZOOM) graph.zoom(MOST_ZOOM).center()
    // On a small screen the nodes of a small mesh and their labels stay as large as they are elsewhere.
    const scale = this.#isSmall ? Math.max(1, 0.9 / graph.zoom()) : 1
    if (Math.abs(scale - this.#scale) < 0.05) return
    this.#scale = scale
    this.#restyle()
    graph.fit(undefined, margin)
  }

  #restyle() {
    this.#graph.style(styleOf(this.#isSmall, this.#scale))
    this.showPaths(this.#paths)
  }

  /** Shows the same part of the mesh in a container of another size. */
  #refit() {
    const graph = this.#graph
    const { x1, x2, y1, y2 } = graph.extent()
    graph.resize()
    if (this.#isWhole) return this.showWhole()
    const [zoom, middle] = [graph.zoom(), { x: (x1 + x2) / 2, y: (y1 + y2) / 2 }]
    graph.pan({ x: graph.width() / 2 - middle.x * zoom, y: graph.height() / 2 - middle.y * zoom })
  }

  zoomBy(factor) {
    this.#isWhole = false
    const { width, height } = this.#graph.container().getBoundingClientRect()
    const renderedPosition = { x: width / 2, y: height / 2 }
    this.#graph.zoom({ level: this.#graph.zoom() * factor, renderedPosition })
  }

  /** The place of a node on the page. */
  placeOf(id) {
    const { x, y } = this.#node(id).renderedPosition()
    const { left, top } = this.#graph.container().getBoundingClientRect()
    return { x: left + x, y: top + y }
  }

  #node(id) {
    return this.#graph.getElementById(nodeKey(id))
  }
}

/** Three digits are enough to compare by. */
const weightText = (weight) => Number(weight.toPrecision(3)).toLocaleString('en')

export const colourOf = (index) => COLOURS[index % COLOURS.length]

/** An id may be any text, that of a link, too. */
const nodeKey = (id) => `n${id}`

/** The layout in pixels; nodes that the topology does not know stand in a row below it. */
function placesOf(nodes, others, spacing) {
  const [xs, ys] = [nodes.map(({ x }) => x), nodes.map(({ y }) => y)]
  const [left, right, top, bottom] = [least(xs), -least(xs.map((x) => -x)), least(ys), -least(ys.map((y) => -y))]
  const side = Math.sqrt(nodes.length) * spacing * 1.6
  const scale = side / Math.max(right - left, bottom - top, 1e-9)
  const places = new Map(nodes.map(({ id, x, y }) => [id, { x: (x - left) * scale, y: (y - top) * scale }]))
  const columns = Math.max(1, Math.floor(side / spacing))
  for (const [index, { id }] of others.entries()) {
    const row = Math.floor(index / columns)
    places.set(id, { x: (index % columns) * spacing, y: (bottom - top) * scale + (row + 2) * spacing })
  }
  return places
}

const least = (numbers) => numbers.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY)

/** `scale` enlarges nodes and their labels. */
const styleOf = (isSmall, scale = 1) => [
  {
    selector: 'node',
    style: {
      width: 16 * scale,
      height: 16 * scale,
      'background-color': colour('up'),
      'border-width': 0,
      color: colour('text'),
      label: isSmall ? 'data(label)' : '',
      'font-size': 12 * scale,
      'min-zoomed-font-size': 7,
      'text-valign': 'bottom',
      'text-margin-y': 4 * scale,
      'text-outline-color': colour('ground'),
      'text-outline-width': 2 * scale,
    },
  },
  { selector: 'node.stopped', style: { 'background-color': colour('stopped') } },
  { selector: 'node.missing', style: { 'background-color': colour('missing') } },
  {
    selector: 'edge',
    style: {
      'curve-style': 'haystack',
      'haystack-radius': 0,
      width: isSmall ? 2 : 1.2,
      'line-color': colour('link'),
      opacity: isSmall ? 0.6 : 0.35,
      label: isSmall ? 'data(weight)' : '',
      color: colour('text'),
      'font-size': 10,
      'min-zoomed-font-size': 8,
      'text-background-color': colour('ground'),
      'text-background-opacity': 1,
      'text-background-padding': 2,
      'text-background-shape': 'roundrectangle',
    },
  },
  { selector: 'edge.away', style: { opacity: isSmall ? 0.25 : 0.12 } },
  { selector: 'edge.path', style: { width: isSmall ? 6 * scale : 12, opacity: 1, 'z-index': 10 } },
  { selector: 'edge.alternative', style: { width: isSmall ? 3 * scale : 6, 'line-style': 'dashed', 'z-index': 5 } },
  {
    selector: 'node.path, node.end, node:selected',
    style: { label: 'data(label)', 'z-index': 20, width: isSmall ? 20 * scale : 30, height: isSmall ? 20 * scale : 30 },
  },
  {
    selector: 'node.end',
    style: {
      width: isSmall ? 26 * scale : 60,
      height: isSmall ? 26 * scale : 60,
      'border-width': isSmall ? 4 * scale : 8,
      'border-color': colour('text'),
      'font-size': isSmall ? 14 * scale : 40,
    },
  },
  { selector: 'node:selected', style: { 'border-width': isSmall ? 4 * scale : 8, 'border-color': colour('path-2') } },
]
