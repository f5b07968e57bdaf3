// OkHttp 4's names for what OkHttp 3 has: the examples are written for 4 and 5, and Debian has 3.

package example.hatchery

import okhttp3.MediaType
import okhttp3.RequestBody
import okhttp3.Response

internal fun String.toMediaType(): MediaType = MediaType.get(this)

internal fun ByteArray.toRequestBody(type: MediaType): RequestBody = RequestBody.create(type, this)

internal val Response.body get() = body()

internal val Response.code get() = code()
