"""Sidecars as other programs write them."""

from __future__ import annotations

DARKTABLE = b"""<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:exif="http://ns.adobe.com/exif/1.0/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"
    xmlns:darktable="http://darktable.sf.net/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:lr="http://ns.adobe.com/lightroom/1.0/"
   exif:DateTimeOriginal="2021:06:12 10:11:12.000"
   xmp:Rating="3"
   xmpMM:DerivedFrom="IMG_1.CR3"
   darktable:import_timestamp="63759000000000000"
   darktable:xmp_version="5"
   darktable:raw_params="0"
   darktable:auto_presets_applied="1"
   darktable:history_end="2"
   darktable:iop_order_version="4">
   <dc:subject>
    <rdf:Bag>
     <rdf:li>holiday</rdf:li>
     <rdf:li>places</rdf:li>
     <rdf:li>Sylt</rdf:li>
    </rdf:Bag>
   </dc:subject>
   <lr:hierarchicalSubject>
    <rdf:Bag>
     <rdf:li>holiday</rdf:li>
     <rdf:li>places|Sylt</rdf:li>
    </rdf:Bag>
   </lr:hierarchicalSubject>
   <darktable:masks_history>
    <rdf:Seq/>
   </darktable:masks_history>
   <darktable:history>
    <rdf:Seq>
     <rdf:li
      darktable:num="0"
      darktable:operation="rawprepare"
      darktable:enabled="1"
      darktable:modversion="2"
      darktable:params="00000000000000008ff9e3ff00000000"
      darktable:multi_name=""
      darktable:blendop_params="gz11eJxjYGBgkGAAgRNODGiAEV0AJ2iwh+CRyscOAAdeGQQ="/>
     <rdf:li
      darktable:num="1"
      darktable:operation="filmicrgb"
      darktable:enabled="1"
      darktable:modversion="6"
      darktable:params="gz09eJxjYGiwZ8AAxPEBF+0GEA==&lt;&quot;"/>
    </rdf:Seq>
   </darktable:history>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""

DIGIKAM = b"""<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:digiKam="http://www.digikam.org/ns/1.0/"
    xmlns:acdsee="http://ns.acdsee.com/iptc/1.0/"
    xmlns:MicrosoftPhoto="http://ns.microsoft.com/photo/1.0/"
    xmlns:mediapro="http://ns.iview-multimedia.com/mediapro/1.0/"
    xmlns:lr="http://ns.adobe.com/lightroom/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
   acdsee:categories="&lt;Categories&gt;&lt;Category Assigned=&quot;0&quot;&gt;Animals&lt;Category Assigned=&quot;1&quot;&gt;Dog&lt;/Category&gt;&lt;/Category&gt;&lt;/Categories&gt;"
   MicrosoftPhoto:Rating="50"
   xmp:CreatorTool="digiKam-8.2.0">
   <digiKam:TagsList>
    <rdf:Seq>
     <rdf:li>Animals/Dog</rdf:li>
     <rdf:li>garden</rdf:li>
    </rdf:Seq>
   </digiKam:TagsList>
   <MicrosoftPhoto:LastKeywordXMP>
    <rdf:Bag>
     <rdf:li>Animals/Dog</rdf:li>
     <rdf:li>garden</rdf:li>
    </rdf:Bag>
   </MicrosoftPhoto:LastKeywordXMP>
   <lr:hierarchicalSubject>
    <rdf:Bag>
     <rdf:li>Animals|Dog</rdf:li>
     <rdf:li>garden</rdf:li>
    </rdf:Bag>
   </lr:hierarchicalSubject>
   <mediapro:CatalogSets>
    <rdf:Bag>
     <rdf:li>Animals|Dog</rdf:li>
    </rdf:Bag>
   </mediapro:CatalogSets>
   <dc:subject>
    <rdf:Bag>
     <rdf:li>Dog</rdf:li>
     <rdf:li>garden</rdf:li>
    </rdf:Bag>
   </dc:subject>
   <dc:title>
    <rdf:Alt>
     <rdf:li xml:lang="x-default">Bello &amp; the \xe2\x80\x9cgarden\xe2\x80\x9d</rdf:li>
    </rdf:Alt>
   </dc:title>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""  # noqa: E501

LIGHTROOM = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0-c000 1.000000, 0000/00/00-00:00:00        ">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"
    xmlns:stEvt="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"
    xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"
   xmp:CreatorTool="Adobe Lightroom Classic 13.0 (Macintosh)"
   xmp:Rating="4"
   xmpMM:DocumentID="xmp.did:6e0a0f0f"
   crs:Version="16.0"
   crs:Exposure2012="+0.35"
   crs:HasSettings="True">
   <xmpMM:History>
    <rdf:Seq>
     <rdf:li
      stEvt:action="saved"
      stEvt:instanceID="xmp.iid:8d1"
      stEvt:changed="/metadata"/>
    </rdf:Seq>
   </xmpMM:History>
   <crs:ToneCurvePV2012>
    <rdf:Seq>
     <rdf:li>0, 0</rdf:li>
     <rdf:li>255, 255</rdf:li>
    </rdf:Seq>
   </crs:ToneCurvePV2012>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""  # noqa: E501

CAMERA_RAW = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/">
\t<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
\t\t<rdf:Description rdf:about="uuid:faf5bdd5-ba3d-11da-ad31-d33d75182f1b"
\t\t\txmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/" crs:Version="4.6" crs:Sharpness="25"/>
\t\t<!-- a comment -->
\t</rdf:RDF>
</x:xmpmeta>
""".replace(b"\n", b"\r\n")

PADDED = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/"><tiff:Make>Canon</tiff:Make></rdf:Description></rdf:RDF>'
    b"</x:xmpmeta>" + b"\n" + (b" " * 99 + b"\n") * 20 + b'<?xpacket end="w"?>'
)

OTHER_PREFIXES = b"""<?xml version='1.0'?>
<RDF xmlns="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
    <Description r:about='a "quoted" one' xmlns:d='http://purl.org/dc/elements/1.1/'>
        <d:subject><Seq><li>one</li><li xml:lang='de'>zwei</li></Seq></d:subject>
    </Description>
    <Description xmlns:dc='urn:not-dublin-core' r:about='a "quoted" one'><dc:subject>no keyword</dc:subject></Description>
</RDF>
"""  # noqa: E501

SHAPES = {
    "darktable": DARKTABLE,
    "digiKam": DIGIKAM,
    "Lightroom": LIGHTROOM,
    "Camera Raw": CAMERA_RAW,
    "padded": PADDED,
    "other prefixes": OTHER_PREFIXES,
    "with a mark": b"\xef\xbb\xbf" + DIGIKAM,
    "in UTF-16": b"\xff\xfe" + DIGIKAM.decode().encode("utf-16-le"),
    "in big-endian UTF-16": b"\xfe\xff" + LIGHTROOM.decode().encode("utf-16-be"),
}


def packet(properties: str, namespaces: str = "", about: str = 'rdf:about=""') -> bytes:
    """Return a packet with one description that holds these properties."""
    return f"""<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
   xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:lr="http://ns.adobe.com/lightroom/1.0/" {namespaces}>
  <rdf:Description {about}>
{properties}
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
""".encode()
