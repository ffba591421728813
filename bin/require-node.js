// Ends the process where Node is too old. In a checkout the package "node" brings Node 26 for the npm scripts; without its
// install script (ignore-scripts, or an npm that asks for approval) they run on the machine's own.
const required = 26;
const major = Number(process.versions.node.split('.')[0]);
if (major < required) {
  process.stderr.write(
    `Node ${required} is missing: this is Node ${process.versions.node}.\n` +
      `Run "npm ci --ignore-scripts=false", which installs Node ${required} beside the other packages, ` +
      `or install Node ${required} yourself.\n`,
  );
  process.exit(2);
}
