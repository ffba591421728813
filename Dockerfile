# opallama as an image: `docker build --tag opallama:0.1.0 .` Nothing is compiled when it starts, no shell is in it, and it
# runs as nobody in particular on a root that may be read-only. `npm run test:image` carries these very steps out.

FROM golang:1.26.8-bookworm AS opa
WORKDIR /src/opa
COPY opa/go.mod opa/go.sum ./
RUN go mod download
COPY opa/*.go ./
# As scripts/build-opa.mjs has it, which a test compares: the module, and the program of this platform.
ENV CGO_ENABLED=0 GOFLAGS="" GOWORK=off
RUN GOOS=wasip1 GOARCH=wasm go build -trimpath -buildvcs=false '-ldflags=-s -w -buildid=' -buildmode=c-shared -o /out/opa.wasm . \
 && arch="$(go env GOARCH)" \
 && if [ "$arch" = amd64 ]; then arch=x64; fi \
 && go build -trimpath -buildvcs=false '-ldflags=-s -w -buildid=' -o "/out/opa-linux-$arch" .

FROM node:26.10.0-bookworm-slim AS build
WORKDIR /src
COPY package.json package-lock.json ./
# The image has Node; the package of that name would bring a second one.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY bin bin
COPY src src
COPY policies policies
COPY templates templates
COPY examples examples
COPY docs/schemas docs/schemas
COPY --from=opa /out/ opa/build/
RUN node_modules/.bin/tsc -p tsconfig.build.json \
 && mkdir -p /out/opallama/opa /out/lib \
 && cp -r bin dist policies templates examples docs package.json /out/opallama/ \
 && cp -r opa/build /out/opallama/opa/ \
 && node bin/opallama.js build policies --entrypoint ollama/authz --output /out/opallama/policy.tar.gz
RUN npm prune --omit=dev --ignore-scripts --no-audit --no-fund \
 && cp -r node_modules /out/opallama/ \
 && ldd "$(command -v node)" > /tmp/libraries \
 && cp "$(awk '/libatomic/ { print $3 }' /tmp/libraries)" /out/lib/

# C and C++ libraries, certificates, time zones, users; no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="opallama" \
      org.opencontainers.image.description="A policy sidecar for Ollama" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY --from=build /out/lib/ /usr/lib/
COPY --from=build /out/opallama/ /opt/opallama/
ENV NODE_ENV=production
# A configuration of another place is named by --config.
WORKDIR /etc/opallama
USER 65532:65532
EXPOSE 8080 9464
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["/usr/local/bin/node", "/opt/opallama/bin/health.js"]
ENTRYPOINT ["/usr/local/bin/node", "/opt/opallama/bin/opallama.js"]
CMD ["serve"]
