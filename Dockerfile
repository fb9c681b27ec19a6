# The recipe image, for people who have a container engine and no mmdebstrap:
#
#     docker build --tag clio-recipes .
#     docker create --name clio-recipes clio-recipes esorex
#     docker export --output rootfs.tar clio-recipes
#     docker rm clio-recipes
#     clio image import rootfs.tar
#
# It runs the same script as `clio image build` and gives the same root file system, to the byte; importing it gives
# the same image digest. The base only brings mmdebstrap: nothing of it gets into the result, so it is named by tag.

ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends debian-archive-keyring mmdebstrap \
    && rm -rf /var/lib/apt/lists/*
COPY pipeline/image/rootfs.sh /clio/rootfs.sh
# A mirror other than mmdebstrap's own choice: its address, or the path of a sources.list in the base.
ARG CLIO_MIRROR=""
RUN CLIO_MIRROR="${CLIO_MIRROR}" sh /clio/rootfs.sh /clio/rootfs.tar \
    && mkdir /clio/rootfs \
    && tar --extract --same-permissions --file /clio/rootfs.tar --directory /clio/rootfs

FROM scratch
COPY --from=build /clio/rootfs/ /
ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /out
CMD ["esorex", "--recipes"]
